"""Write the vector files beside this script; running it again changes nothing.

    .venv/bin/python tests/vectors/regenerate.py

Each file has `answers`, which must come out, and `must_fail`, each with the error code that must come out. ML-KEM
encapsulation is random, so the ciphertext in `exchange.json` is an input that is kept once it is there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path

import vector_reference as ref
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from vector_ledger import bundle, checkpoint, merkle

HERE = Path(__file__).resolve().parent
LAYOUT = [
    {"name": "rows", "shape": [2], "kind": "count"},
    {"name": "gram", "shape": [2, 2], "kind": "gram"},
    {"name": "nothing", "shape": [0], "kind": "sum"},
    {"name": "agree", "shape": [1], "kind": "vote"},
    {"name": "total", "shape": [], "kind": "sum"},
]
CTX = ref.material("ctx")
OTHER_CTX = ref.material("another ctx")


def keys() -> dict:
    seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"  # RFC 8032 section 7.1, TEST 1
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signature = (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    shown = hashlib.sha256(b"isthmus fingerprint\n" + bytes.fromhex(public)).hexdigest()[:24]
    fingerprint = " ".join(shown[at : at + 4] for at in range(0, 24, 4))
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(bytes.fromhex(signature)[32:], "little") + order  # malleated: S not below the group order
    good = {"public": public, "signature": signature, "message": ""}
    return {
        "answers": [{"seed": seed, **good, "fingerprint": fingerprint}],
        "must_fail": [
            {"name": "another message", **good, "message": "00", "error": "E-SIGNATURE"},
            {"name": "tampered signature", **good, "signature": "00" + signature[2:], "error": "E-SIGNATURE"},
            {"name": "short signature", **good, "signature": signature[:-2], "error": "E-SIGNATURE"},
            {"name": "short key", **good, "public": public[:-2], "error": "E-SIGNATURE"},
            {
                "name": "malleated signature",
                **good,
                "signature": signature[:64] + s.to_bytes(32, "little").hex(),
                "error": "E-SIGNATURE",
            },
        ],
    }


def prg() -> dict:
    secret = ref.material("secret")
    cases = [("mask", [CTX]), ("share", [b"\0\0\0\1", b"\0\0\0\2", CTX]), ("share", [b"\0\0\0\2", b"\0\0\0\1", CTX])]
    cases += [("mask", []), ("mask", [b""]), ("mas", [b"k"]), ("mask", [b"a", b"b"]), ("mask", [b"ab"])]
    return {
        "answers": [
            {
                "secret": secret.hex(),
                "label": label,
                "context": [part.hex() for part in context],
                "key": ref.derive(secret, label, *context).hex(),
            }
            for label, context in cases
        ],
        "streams": [
            # AES-256 of counters 0 and 1 under the zero key: GCM test cases 13 and 14 (McGrew, Viega 2005)
            {"key": "00" * 32, "bytes": "dc95c078a2408989ad48a21492842087530f8afbc74536b9a963b4f1c4cb738b"},
            {"key": secret.hex(), "bytes": ref.stream(secret, 200).hex()},
        ],
        "must_fail": [
            {"name": "short secret", "secret": secret.hex()[:-2], "error": "E-KEY"},
            {"name": "long secret", "secret": secret.hex() + "00", "error": "E-KEY"},
            {"name": "no secret", "secret": "", "error": "E-KEY"},
        ],
    }


def exchange() -> dict:
    lower, higher = ref.material("lower", 96), ref.material("higher", 96)
    publics = [_publics(raw) for raw in (lower, higher)]
    file = HERE / "exchange.json"
    ciphertext = (
        bytes.fromhex(json.loads(file.read_text())["answers"][0]["ciphertext"])
        if file.exists()
        else MLKEM768PrivateKey.from_seed_bytes(higher[32:]).public_key().encapsulate()[1]
    )
    context = b"secagg/1 example context"
    classical = X25519PrivateKey.from_private_bytes(lower[:32]).exchange(
        X25519PrivateKey.from_private_bytes(higher[:32]).public_key()
    )
    quantum = MLKEM768PrivateKey.from_seed_bytes(higher[32:]).decapsulate(ciphertext)
    bound = (b"isthmus secagg/1 pair secret", hashlib.sha256(b"".join(publics)).digest(), context, ciphertext)
    info = b"".join(len(part).to_bytes(8, "big") + part for part in bound)
    secret = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(classical + quantum)
    tampered = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    good = {"own": higher.hex(), "peer": lower.hex(), "ciphertext": ciphertext.hex(), "context": context.hex()}
    return {
        "answers": [{**good, "secret": secret.hex()}],
        "other_secret": [  # no error: another secret, under which nothing opens
            {"name": "tampered ciphertext", **good, "ciphertext": tampered.hex()},
            {"name": "another context", **good, "context": b"secagg/1 another context".hex()},
            {"name": "the wrong peer", **good, "peer": ref.material("third", 96).hex()},
            {"name": "the wrong end of the pair", **good, "own": lower.hex(), "peer": higher.hex()},
        ],
        "must_fail": [
            {"name": "short ciphertext", **good, "ciphertext": ciphertext.hex()[:-2], "error": "E-KEY"},
            {"name": "zero X25519 point", **good, "peer_x25519": "00" * 32, "error": "E-KEY"},
        ],
    }


def _publics(raw: bytes) -> bytes:
    x25519 = X25519PrivateKey.from_private_bytes(raw[:32]).public_key().public_bytes_raw()
    return x25519 + MLKEM768PrivateKey.from_seed_bytes(raw[32:]).public_key().public_bytes_raw()


def ring() -> dict:
    numbers = [0.0, 1.0, -1.0, 0.1, -0.1, 1 / 3, 2.0**-64, 2.0**-65, 3 * 2.0**-65, -(2.0**-65), -3 * 2.0**-65]
    numbers += [2.0**61, -(2.0**61), 2.0**62 - 512, 123456789.987654321, -1e17, 1e-25, -1e-18, 0.5 - 2.0**-54, 5e-324]
    fields = [[3, 2**40], [0.1, -2.5, 1e9, 1e-12], [], [2**63 + 5], [-0.75]]
    widths, values = ref.sizes(LAYOUT), ref.packed(LAYOUT, fields, CTX)
    raw = ref.to_bytes(values, widths)
    flipped = bytes([raw[0] ^ 1]) + raw[1:]
    good = {"layout": LAYOUT, "parties": 3, "ctx": CTX.hex(), "words": raw.hex()}
    one = {"layout": [{"name": "x", "shape": [1], "kind": "sum"}], "ctx": CTX.hex(), "error": "E-RANGE"}
    whole = {**one, "layout": [{"name": "x", "shape": [1], "kind": "count"}]}
    return {
        "numbers": [
            {"value": x.hex(), "code": f"{ref.encode(x) % 2**128:032x}", "decoded": (ref.encode(x) / 2**64).hex()}
            for x in numbers
        ],
        "answers": [
            {**good, "fields": [[str(x) if isinstance(x, int) else x.hex() for x in field] for field in fields]}
        ],
        "must_not_pack": [
            {"name": "at the bound, 1 party", **one, "parties": 1, "value": (2.0**62).hex()},
            {"name": "at the bound, 2 parties", **one, "parties": 2, "value": (2.0**61).hex()},
            {"name": "at the bound, 3 parties", **one, "parties": 3, "value": (-(2.0**60)).hex()},
            {"name": "not a number", **one, "parties": 1, "value": "nan"},
            {"name": "infinite", **one, "parties": 1, "value": "-inf"},
            {"name": "a count at the bound", **whole, "parties": 4, "value": (2.0**60).hex()},
            {"name": "the smallest int64", **whole, "parties": 1, "value": (-(2.0**63)).hex()},
        ],
        "must_fail": [
            {"name": "another context", **good, "ctx": OTHER_CTX.hex(), "error": "E-CHECKSUM"},
            {"name": "flipped bit", **good, "words": flipped.hex(), "error": "E-CHECKSUM"},
            {"name": "flipped checksum", **good, "words": raw.hex()[:-2] + "ff", "error": "E-CHECKSUM"},
            {"name": "a word short", **good, "words": raw.hex()[:-16], "error": "E-LENGTH"},
            {"name": "a word more", **good, "words": raw.hex() + "00" * 8, "error": "E-LENGTH"},
        ],
    }


def masking() -> dict:
    """Four sites, indices 1 to 4; site 3 drops after its reply was masked."""
    sites, dropped = [1, 2, 3, 4], 3
    pairs = {(i, j): ref.material(f"pair {i} {j}") for i in sites for j in sites if i < j}
    mask = {pair: ref.derive(secret, "mask", CTX) for pair, secret in pairs.items()}
    seeds = {i: ref.material(f"self {i}") for i in sites}
    widths, replies, plain = ref.sizes(LAYOUT), {}, {}
    for i in sites:
        fields = [[i, 10 * i], [i / 3, -i, 1e6 / i, -(2.0**-40)], [], [0], [0.1 * i]]
        plain[i] = ref.packed(LAYOUT, fields, CTX)
        plus = [seeds[i], *(mask[i, j] for j in sites if i < j)]
        replies[i] = ref.masked(plain[i], widths, plus, [mask[j, i] for j in sites if j < i])
    survivors = [i for i in sites if i != dropped]
    total = [sum(column) for column in zip(*(plain[i] for i in survivors), strict=True)]
    return {
        "answers": [
            {
                "layout": LAYOUT,
                "ctx": CTX.hex(),
                "pair_secrets": {f"{i}-{j}": secret.hex() for (i, j), secret in pairs.items()},
                "self_seeds": {str(i): seed.hex() for i, seed in seeds.items()},
                "plain": {str(i): ref.to_bytes(plain[i], widths).hex() for i in sites},
                "replies": {str(i): replies[i].hex() for i in sites},
                "dropped": dropped,
                "total": ref.to_bytes(total, widths).hex(),
            }
        ],
        "must_fail": [
            {"name": "a peer's key twice: the two masks would cancel or repeat", "plus": [0, 1], "minus": [1]},
            {"name": "a peer's key as the self seed: a two-time pad", "plus": [9], "minus": []},
            {"name": "a key added twice", "plus": [1, 1], "minus": []},
        ],
    }


def shares() -> dict:
    secret, indices = ref.material("shared secret"), [1, 2, 3, 5, 8, 65535]
    randomness = [ref.material(f"coefficient {at}", 66) for at in range(3)]
    coefficients = [int.from_bytes(raw, "big") & ref.PRIME for raw in randomness]
    made = {x: share.hex() for x, share in ref.shares(secret, coefficients, indices).items()}
    some = {x: made[x] for x in (1, 3, 5, 8)}
    slightly = some | {3: made[3][:-2] + f"{int(made[3][-2:], 16) ^ 1:02x}"}
    changed = some | {3: made[3][:2] + f"{int(made[3][2:4], 16) ^ 1:02x}" + made[3][4:]}
    prime = some | {3: ref.PRIME.to_bytes(66, "big").hex()}
    return {
        "answers": [
            {
                "secret": secret.hex(),
                "threshold": 4,
                "indices": indices,
                "randomness": [raw.hex() for raw in randomness],
                "shares": made,
            }
        ],
        # a weight can be a small whole number: only the commitment to the secret notices this one
        "other_secret": [{"name": "a share with its last bit flipped", "threshold": 4, "shares": slightly}],
        "must_fail": [
            {"name": "tampered share", "threshold": 4, "shares": changed, "error": "E-SHARES"},
            {"name": "wrong index", "threshold": 4, "shares": some | {2: made[5]}, "error": "E-SHARES"},
            {"name": "too few", "threshold": 4, "shares": {1: made[1], 3: made[3], 5: made[5]}, "error": "E-SHARES"},
            {"name": "a lower threshold than shared", "threshold": 3, "shares": some, "error": "E-SHARES"},
            {"name": "index 0", "threshold": 4, "shares": some | {0: made[2]}, "error": "E-SHARES"},
            {"name": "short share", "threshold": 4, "shares": some | {3: made[3][2:]}, "error": "E-SHARES"},
            {"name": "not a field element", "threshold": 4, "shares": prime, "error": "E-SHARES"},
        ],
    }


def sealing() -> dict:
    key, plaintext, associated = ref.material("seal key"), b"share of b_i", b"1 to 2"
    message = len(associated).to_bytes(8, "big") + associated + plaintext
    nonce = hmac.new(ref.derive(key, "seal nonce"), message, "sha256").digest()[:12]
    sealed = nonce + AESGCM(key).encrypt(nonce, plaintext, associated)
    good = {"key": key.hex(), "associated": associated.hex(), "sealed": sealed.hex(), "error": "E-SEAL"}

    def flipped(at: int) -> str:
        return (sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]).hex()

    return {
        "answers": [
            {
                "key": key.hex(),
                "plaintext": plaintext.hex(),
                "associated": associated.hex(),
                "sealed": sealed.hex(),
            }
        ],
        "must_fail": [
            {"name": "tampered nonce", **good, "sealed": flipped(0)},
            {"name": "tampered ciphertext", **good, "sealed": flipped(12)},
            {"name": "tampered tag", **good, "sealed": flipped(len(sealed) - 1)},
            {"name": "cut", **good, "sealed": sealed[:20].hex()},
            {"name": "sent the other way", **good, "associated": b"2 to 1".hex()},
            {"name": "another key", **good, "key": ref.material("another key").hex()},
        ],
    }


def envelope() -> dict:
    seed = ref.material("signer")
    kind, payload = "application/vnd.isthmus.study+json", b'{"title":"an example"}'
    key = Ed25519PrivateKey.from_private_bytes(seed)
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    entry = {"keyid": "alice", "sig": base64.b64encode(key.sign(message)).decode()}
    made = {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": [entry]}
    keyed = {"type": kind, "keys": {"alice": key.public_key().public_bytes_raw().hex()}}
    bare = {"sig": entry["sig"]}

    def failing(name: str, error: str, **changes: object) -> dict:
        return {"name": name, "error": error, **keyed, "envelope": made | changes}

    return {
        "pae": {  # DSSE protocol.md, test vectors
            "type": "http://example.com/HelloWorld",
            "payload": "hello world",
            "bytes": "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
        },
        "answers": [{**keyed, "seed": seed.hex(), "payload": payload.decode(), "envelope": made}],
        "must_fail": [
            failing("another payload", "E-SIGNATURE", payload=base64.b64encode(payload + b" ").decode()),
            failing("another type", "E-SIGNATURE", payloadType="application/vnd.isthmus.agreement+json"),
            failing("not base64", "E-ENVELOPE", payload="*"),
            failing("base64 with spare bits", "E-ENVELOPE", signatures=[entry | {"sig": entry["sig"][:-3] + "B=="}]),
            failing("no signature", "E-SIGNATURE", signatures=[]),
            failing("an unknown signer", "E-SIGNATURE", signatures=[entry | {"keyid": "mallory"}]),
            failing("a signer twice", "E-ENVELOPE", signatures=[entry, entry]),
            failing("no key id", "E-ENVELOPE", signatures=[bare]),
            failing("one key more", "E-ENVELOPE", comment="x"),
        ],
    }


FILES = {
    "keys": keys,
    "prg": prg,
    "exchange": exchange,
    "ring": ring,
    "masking": masking,
    "shares": shares,
    "sealing": sealing,
    "envelope": envelope,
    "merkle": merkle,
    "checkpoint": checkpoint,
    "bundle": bundle,
}


def text(name: str) -> str:
    """What `name`.json must hold."""
    return json.dumps(FILES[name](), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name in FILES:
        (HERE / f"{name}.json").write_text(text(name), encoding="utf-8")
