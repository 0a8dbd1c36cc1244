"""What an agreement states for the rules of law: facts, and pointers to documents in which people judged.

Every part may be left out, and then its facts are unknown: the rules that need them do not pass. Text `none` says that
there is none, which is a fact. A human judgement is a pointer, a SHA-256, a date and an outcome, never prose.
Days are written YYYY-MM-DD, countries as two capital letters (ISO 3166-1).
"""

from __future__ import annotations

from typing import Literal

from isthmus.governance.identities import PassportIssuer
from isthmus.model.names import Digest
from isthmus.model.record import record

LegalForm = Literal["nhs_body", "university", "nonprofit", "company", "government"]
Identifiability = Literal[
    "identifiable", "pseudonymised", "hipaa_lds", "hipaa_safe_harbor", "hipaa_expert", "anonymous_ico", "synthetic"
]
Category = Literal[
    "health",
    "genomic",
    "omic_other",
    "biometric",
    "precise_geo",
    "financial",
    "covered_ids",
    "sex_life",
    "ethnicity",
    "criminal",
    "sud_part2",
    "other",
]
Origin = Literal[
    "nhs_confidential",
    "nhs_england_dars",
    "cms",
    "nih_cadr",
    "all_of_us",
    "trial_gxp",
    "consumer_us",
    "ons",
    "cohort",
]
What = Literal["records", "remote_access_records", "aggregates", "model_parameters", "encrypted_shares", "synthetic"]
Mechanism = Literal["none", "uk_us_data_bridge", "idta", "addendum", "bcr", "art49", "not_restricted"]
ApprovalRole = Literal[
    "data_custodian",
    "information_governance",
    "caldicott_guardian",
    "sponsor",
    "irb",
    "rec",
    "cag",
    "dac",
    "privacy_board",
    "security",
]


@record
class Document:
    """A document in which people judged: where it is, its SHA-256, when, with what outcome, and which body issued it."""

    ref: str
    sha256: Digest
    date: str
    outcome: Literal["ok", "conditions", "not_ok"]
    issuer: str | None = None


@record
class Framework:
    """A US organisation's entry on the Data Privacy Framework list, and when it was looked up."""

    active: bool
    uk_extension: bool
    non_hr: bool
    checked: str


@record
class Toolkit:
    """An NHS Data Security and Protection Toolkit result."""

    status: Literal["met", "exceeded", "approaching", "not_met"]
    expires: str


@record
class PartyStatus:
    """What the law asks of a party: its role under data protection law, legal form, HIPAA status, screening.

    `covered_person` is the outcome of screening under 28 CFR 202.211; `ror` its entry in the Research Organization Registry.
    """

    role: Literal["controller", "joint_controller", "processor"]
    legal_form: LegalForm
    hipaa: Literal["covered_entity", "business_associate", "none"] | None = None
    covered_person: bool | None = None
    dspt: Toolkit | None = None
    dpf: Framework | None = None
    ror: str | None = None


@record
class Standing:
    """What the law asks of a person: where they work, training, screening under 28 CFR 202.211."""

    country: str
    training_expires: str | None = None
    covered_person: bool | None = None
    affiliation: str | None = None


@record
class Section251:
    """Support under section 251 of the NHS Act 2006, by its `letter`; `opt_out_exempt` where the national data opt-out is not
    applied, by the `exemption` that says so.
    """

    reference: str
    expires: str
    opt_out_exempt: bool
    letter: Document | None = None
    exemption: Document | None = None


@record
class Deidentification:
    """HIPAA de-identification: what was found and who says so.

    `identifiers_found`: letters of 164.514(b)(2)(i). `zip3_census`: the year of the Census by which small ZIP areas were
    found, or `none` where there is no ZIP code.
    """

    identifiers_found: tuple[str, ...] | None = None
    no_actual_knowledge: bool | None = None
    zip3_ok: bool | None = None
    zip3_census: str | None = None
    age90_ok: bool | None = None
    expert_expires: str | None = None
    expert_report: Document | None = None


@record
class Ethics:
    """Reference of a UK research ethics committee's opinion (or `none`), the US board's decision, and its last day.

    `opinion` and `determination`: the documents of the committee and of the board.
    """

    committee: str
    irb: Literal["approved", "exempt", "not_hsr", "none"]
    expires: str
    opinion: Document | None = None
    determination: Document | None = None


@record
class DataUse:
    """GA4GH DUO terms of a dataset: the permission, its modifiers, and what the modifiers need to know."""

    permission: str
    modifiers: tuple[str, ...]
    until: str
    disease: str | None = None
    regions: tuple[str, ...] | None = None
    institutions: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None
    publish_after: str | None = None


@record
class Custody:
    """What one controller states of the data it holds under a dataset's name.

    Attributes:
        controller: a party whose site holds the dataset.
        processors: parties whose sites hold it for the controller.
        subjects: countries whose people are in it; at least one.
        categories: at least one; `other` where it is none of the special ones.
        people_us: how many people of the United States, for the bulk thresholds of 28 CFR 202.205.
        article_6: lawful basis under UK GDPR, as `6(1)(e)`; `none` where UK law does not apply.
        article_9: condition for special categories, as `9(2)(j)`, or `none`.
        schedule_1: of the Data Protection Act 2018, as `para 4`, or `none`.
        confidence_basis: what lifts the common law duty of confidence.
        confidence_document: by which there is consent, or a statute asks for it.
        hipaa_document: the authorization, the waiver of an IRB or privacy board, or the data use agreement.
        territory: countries in which records may be stored or seen.
    """

    controller: str
    subjects: tuple[str, ...]
    identifiability: Identifiability
    categories: tuple[Category, ...]
    origins: tuple[Origin, ...]
    people_us: int | None = None
    article_6: str | None = None
    article_9: str | None = None
    schedule_1: str | None = None
    confidence_basis: (
        Literal["consent", "s251", "statute", "anonymised_before_disclosure", "not_confidential"] | None
    ) = None
    confidence_document: Document | None = None
    section_251: Section251 | None = None
    opt_out_applied: bool | None = None
    anonymisation_test: Document | None = None
    hipaa_path: Literal["authorization", "waiver", "lds_dua", "deidentified", "not_phi", "none"] | None = None
    hipaa_document: Document | None = None
    deidentification: Deidentification | None = None
    part2_consent: bool | None = None
    wa_consent: bool | None = None
    ethics: Ethics | None = None
    duo: DataUse | None = None
    territory: tuple[str, ...] | None = None
    processors: tuple[str, ...] | None = None


@record
class AgreedPurpose:
    """What may be asked for: in words a patient can read, as a DUO term, for one disease (MONDO) or any."""

    purpose: str
    text: str
    duo: str
    disease: str | None = None
    public_benefit: str | None = None
    individual_decisions: bool | None = None
    approved_medical_research: bool | None = None


@record
class Flow:
    """Numbers that may move from each sender to each receiver, parties both; the facts name their countries.

    Attributes:
        what: the sites' masked sums are `encrypted_shares`; pooled sums and results are `aggregates`.
        personal: true unless an assessment says otherwise.
        onward_ban: the receiver is barred by contract from passing it on.
    """

    flow: str
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    datasets: tuple[str, ...]
    what: What
    personal: bool
    mechanism: Mechanism
    onward_ban: bool
    test: Document | None = None
    identifiability_assessment: Document | None = None
    sensitive_flagged: bool | None = None
    journalism: bool | None = None


@record
class Satre:
    """A facility's self-assessment against SATRE."""

    version: str
    mandatory_met: bool
    federation_met: bool


@record
class Controls:
    """Controls that a facility states it has, or has not; one left out is unknown."""

    mfa: bool | None = None
    encrypt_rest: bool | None = None
    auto_logoff: bool | None = None
    egress_default_deny: bool | None = None
    clipboard_block: bool | None = None
    isolation: bool | None = None


@record
class Facility:
    """A place that sites or the hub run in: country, certificates, controls. `nist_800_171` is the day of the attestation.

    `abroad`: it stands outside the country of a party whose node runs in it.
    """

    facility: str
    country: str
    abroad: bool = False
    controls: Controls | None = None
    iso27001_expires: str | None = None
    nist_800_171: str | None = None
    satre: Satre | None = None
    cages: tuple[str, ...] | None = None


@record
class Retention:
    """How long the data may be kept, what happens then, and how long the evidence is kept."""

    data_until: str
    data_action: Literal["destroy", "return", "archive_readonly"]
    evidence_until: str


@record
class Assessments:
    """Documents of the whole alliance, each a pointer and digest."""

    dpia: Document | None = None
    processing_record: Document | None = None
    processor_contract: Document | None = None
    joint_control: Document | None = None
    business_associate: Document | None = None
    privacy_notice: Document | None = None
    necessity: Document | None = None
    harm: Document | None = None
    public_involvement: Document | None = None


@record
class Approval:
    """Someone approved: in which role, when, and by which document; a custodian's signature of the agreement is one."""

    role: ApprovalRole
    person: str
    party: str
    date: str
    ref: str | None = None
    document: Document | None = None


@record
class Judgement:
    """A custodian decided on a rule that asks for a person, and why."""

    rule: str
    person: str
    reason: str
    date: str


@record
class Duties:
    """Everything of an agreement that only the rules of law read.

    `rule_pack`: digest of the pack that all parties follow; left out, no study runs.
    `passport_issuers`: whose GA4GH Passports and visas count.
    """

    purposes: tuple[AgreedPurpose, ...] | None = None
    flows: tuple[Flow, ...] | None = None
    facilities: tuple[Facility, ...] | None = None
    retention: Retention | None = None
    assessments: Assessments | None = None
    approvals: tuple[Approval, ...] | None = None
    judgements: tuple[Judgement, ...] | None = None
    rule_pack: Digest | None = None
    passport_issuers: tuple[PassportIssuer, ...] | None = None
