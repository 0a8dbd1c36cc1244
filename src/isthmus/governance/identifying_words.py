"""What names and labels of columns call an identifier, and what only sounds like one. Letters are those of 45 CFR 164.514(b)(2)(i)."""

from __future__ import annotations

Phrases = frozenset[tuple[str, ...]]


def phrases(text: str) -> Phrases:
    """`first+name mrn` -> words that stand one after the other."""
    return frozenset(tuple(phrase.split("+")) for phrase in text.split())


def _each(owners: str, things: str) -> str:
    """`pt hospital` x `id no` -> `pt+id hospital+id pt+no hospital+no`, and each as one word."""
    pairs = [(owner, thing) for thing in things.split() for owner in owners.split()]
    return " ".join(
        [f"{owner}+{thing}" for owner, thing in pairs] + [f"{owner}{thing}".replace("+", "") for owner, thing in pairs]
    )


_NUMBER = "id ids no num nr nbr number"
WORDS: dict[str, Phrases] = {
    letter: phrases(text)
    for letter, text in {
        "A": "surname forename firstname lastname fullname initials maiden next+of+kin "
        + _each("first last full family given middle patient pt person client kin gp doctor", "name nm names"),
        "B": "zip zipcode zip3 postcode postal address street city town county ward parish lsoa msoa census+tract census+tracts"
        " census+block output+area zcta fips latitude longitude geocode uprn easting northing gps gp+practice practice+code"
        " outward+code pc+sector",
        "C": "dob dod birthdate birthday birth+date birth+month birth+day birth+week birth+quarter month+of+birth day+of+birth"
        " quarter+of+birth date datetime timestamp dt epoch since+1970 since+1900 year+month date+of"
        " admission+month month+of+admission week+of+admission discharge+month month+of+discharge month+of+death death+month",
        "D": "phone telephone mobile cellphone telno " + _each("tel nok kin", "no number num tel phone"),
        "E": "fax",
        "F": "email e+mail",
        "G": "ssn ssno social+security soc+sec national+insurance nino " + _each("ni", _NUMBER),
        "H": "mrn nhsno medical+record pas+id "
        + _each("nhs chi hospital hosp medical+record casenote case+note pas", _NUMBER),
        "I": "health+plan beneficiary mbi hicn " + _each("policy insurance medicare medicaid subscriber", _NUMBER),
        "J": "account iban sort+code credit+card debit+card " + _each("acct bank", "no num number acct acc account id"),
        "K": "licence license certificate passport " + _each("driver drivers", _NUMBER),
        "L": "vin vehicle number+plate license+plate",
        "M": "imei udi " + _each("device serial implant pacemaker", "id no num number sn serial"),
        "N": "url website homepage",
        "O": "ip+address ipaddress ip+addr ipaddr",
        "P": "fingerprint voiceprint voice+sample voice+recording palm+print biometric retina+scan iris+scan",
        "Q": "photo photograph portrait face+image face+img facial+image",
        "R": "uuid guid twitter facebook instagram pseudonym csn accession "
        + _each("patient pt person subject participant record encounter accession pseudo", _NUMBER),
    }.items()
}
ADDRESSES = phrases("postcode postal address street latitude longitude geocode uprn easting northing gps")
EXACT: dict[str, Phrases] = {"A": phrases("name nm"), "B": phrases("lat lon lng"), "H": phrases("chi")}
# Phrases in which such words name something else. What is left of the text is looked at all the same.
HARMLESS = phrases(
    "mobile+phase mobile+unit mobile+stroke mobile+app social+security+income social+security+benefit"
    " social+security+benefits social+security+disability city+of+hope city+size city+type town+type county+hospital county+type"
    " street+drug street+drugs street+triage ward+type ward+round ward+rounds vehicle+control vehicle+arm vehicle+group"
    " vehicle+accident vehicle+collision vehicle+crash to+date up+to+date photo+therapy photo+dynamic certificate+cause"
    " health+plan+type udi6 account+for account+of on+account account+type licence+status license+status insurance+number+of"
    " email+reminder phone+reminder phone+follow"
)
ZIP = frozenset(["zip", "zipcode", "zip3", "zcta"])
PLACES = frozenset(["area", "region", "residence", "location", "home", "place", "geo", "geography", "prefix"])
SYSTEMS = frozenset(
    [
        "cpt",
        "hcpcs",
        "icd",
        "icd9",
        "icd10",
        "snomed",
        "sct",
        "loinc",
        "ndc",
        "rxnorm",
        "drg",
        "hrg",
        "opcs",
        "opcs4",
        "read",
        "dmd",
        "bnf",
        "atc",
        "omop",
        "concept",
        "mesh",
        "mondo",
        "hpo",
        "diagnosis",
        "procedure",
        "drug",
        "gene",
        "rsid",
    ]
)
AGES = frozenset(
    [
        "age",
        "ages",
        "aged",
        "ageband",
        "agebd",
        "agegroup",
        "agegrp",
        "agegp",
        "agecat",
        "ageyrs",
        "ageyears",
        "agemonths",
        "agedays",
        "ageweeks",
    ]
)
OLD = phrases("yrs+old years+old how+old")
VERY_OLD = phrases("nonagenarian centenarian supercentenarian")
BIRTH_YEARS = phrases(
    "yob byear birthyear birthyr birth+year birth+yr year+of+birth yearofbirth year+birth yr+birth year+born yr+of+birth"
    " born+year birth+cohort birth+decade decade+of+birth"
)
BORN = phrases("born")
# Common given names of both countries: a list of people's names has some of them, one after the other.
GIVEN = frozenset(
    [
        "james",
        "mary",
        "john",
        "patricia",
        "robert",
        "jennifer",
        "michael",
        "linda",
        "david",
        "elizabeth",
        "william",
        "barbara",
        "richard",
        "susan",
        "joseph",
        "jessica",
        "thomas",
        "sarah",
        "charles",
        "karen",
        "christopher",
        "nancy",
        "daniel",
        "lisa",
        "matthew",
        "margaret",
        "anthony",
        "betty",
        "mark",
        "sandra",
        "donald",
        "ashley",
        "steven",
        "kimberly",
        "paul",
        "emily",
        "andrew",
        "donna",
        "joshua",
        "michelle",
        "kenneth",
        "carol",
        "kevin",
        "amanda",
        "brian",
        "melissa",
        "george",
        "deborah",
        "edward",
        "stephanie",
        "ronald",
        "rebecca",
        "timothy",
        "laura",
        "jason",
        "helen",
        "jeffrey",
        "sharon",
        "ryan",
        "cynthia",
        "jacob",
        "kathleen",
        "gary",
        "amy",
        "nicholas",
        "shirley",
        "eric",
        "angela",
        "jonathan",
        "anna",
        "stephen",
        "ruth",
        "larry",
        "brenda",
        "justin",
        "pamela",
        "scott",
        "nicole",
        "brandon",
        "katherine",
        "benjamin",
        "samantha",
        "samuel",
        "christine",
        "gregory",
        "catherine",
        "frank",
        "virginia",
        "alexander",
        "debra",
        "raymond",
        "rachel",
        "patrick",
        "janet",
        "jack",
        "emma",
        "dennis",
        "carolyn",
        "jerry",
        "maria",
        "tom",
        "bob",
        "bill",
        "jim",
        "mike",
        "dave",
        "alice",
        "jane",
        "anne",
        "ann",
        "joan",
        "peter",
        "simon",
        "alan",
        "ian",
        "colin",
        "graham",
        "nigel",
        "keith",
        "trevor",
        "sheila",
        "jean",
        "mohammed",
        "muhammad",
        "ahmed",
        "ali",
        "fatima",
        "aisha",
        "oliver",
        "harry",
        "charlie",
        "jacob",
        "alfie",
        "olivia",
        "amelia",
        "isla",
        "ava",
        "sophie",
        "grace",
        "lily",
    ]
)
