"""Who of an agreement may connect to its hub, and where and who the hub is."""

from __future__ import annotations

from isthmus.federation.grpc_hub import Party
from isthmus.federation.grpc_site import HubAddress
from isthmus.governance.agreement import Agreement


def parties_of(agreement: Agreement) -> dict[str, Party]:
    """Who may connect: sites, and every person; what each may ask is the window's to decide."""
    sites = [Party(s.site, "site", bytes.fromhex(s.key), s.certificate.encode()) for s in agreement.sites]
    asking = [
        Party(
            name=p.person,
            role="person",
            key=bytes.fromhex(p.key),
            certificate=p.certificate.encode(),
            roles=frozenset(p.roles),
            trained_until=(p.standing and p.standing.training_expires) or "",
        )
        for p in agreement.people
    ]
    return {party.name: party for party in (*sites, *asking)}


def hub_address(agreement: Agreement, address: str) -> HubAddress:
    """The agreement's hub at host:port."""
    hub = agreement.hub
    return HubAddress(address, hub.hub, bytes.fromhex(hub.key), hub.certificate.encode())
