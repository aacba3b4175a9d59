"""A Sigstore and an identity provider on loopback, by their wire formats; the real client verifies what they sign.

GitHub's endpoint for identity tokens, Fulcio (`/api/v2/signingCert`) with the certificate transparency log behind it,
and Rekor (`/api/v1/log/entries`). Keys are made anew each time. Each entry of the log is alone in a tree of its own.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import secrets
import struct
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TOKENS, LOGIN, CERTIFICATES, LOG = "/token", "/login", "/api/v2/signingCert", "/api/v1/log/entries"
WORKFLOW = "https://github.com/ada/titanic/.github/workflows/train.yml@refs/heads/main"
#: The identity provider, as plain text, which the client reads, and as what replaces that.
ISSUER_OID, ISSUER_V2_OID = (x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}") for number in (1, 8))
SCT_LIST_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
Answer = tuple[int, Any]


class SigstoreStandIn:
    """The servers; `replaced` has what answers instead of a path's own function, to which it gets the answer."""

    def __init__(self, folder: Path) -> None:
        self.replaced: dict[str, Callable[[Answer], Answer]] = {}
        self.requests: list[str] = []
        self.identity, self.request_token = WORKFLOW, secrets.token_hex()
        self._provider, self._authority, self._transparency, self._log = (
            ec.generate_private_key(ec.SECP256R1()) for _ in range(4)
        )
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sigstore")])
        self._root = (
            _certificate(name, name, self._authority.public_key(), timedelta(days=9))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._authority.public_key()), critical=False)
            .sign(self._authority, hashes.SHA256())
        )
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        self.trust_config = folder / "sigstore.json"
        self.trust_config.write_text(json.dumps(self._configuration()))

    def close(self) -> None:
        """Stop the servers."""
        self._server.shutdown()
        self._server.server_close()

    def environment(self) -> dict[str, str]:
        """Return the variables that a job of GitHub Actions with `id-token: write` has."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}{TOKENS}?",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.request_token,
        }

    def token(self, **claims: Any) -> str:
        """Return an identity token."""
        now = int(time.time())
        base = {"iss": self.url, "aud": "sigstore", "sub": self.identity, "iat": now, "nbf": now, "exp": now + 300}
        return jwt.encode(base | claims, self._provider, algorithm="ES256")

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> Answer:
        """Answer a request with a status and what becomes JSON."""
        path = path.partition("?")[0]
        self.requests.append(path)
        answer = self._answer(method, path, authorization, body)
        return self.replaced.get(path, lambda answer: answer)(answer)

    def _answer(self, method: str, path: str, authorization: str, body: bytes) -> Answer:
        given = authorization.partition(" ")[2]
        if (method, path) == ("GET", TOKENS):
            return (200, {"value": self.token()}) if given == self.request_token else (401, {})
        if (method, path) == ("GET", "/.well-known/openid-configuration"):
            return 200, {"authorization_endpoint": f"{self.url}/auth", "token_endpoint": self.url + LOGIN}
        if (method, path) == ("POST", LOGIN):
            return 200, {"access_token": self.token()}
        if (method, path) == ("POST", CERTIFICATES):
            claims = jwt.decode(given, self._provider.public_key(), algorithms=["ES256"], audience="sigstore")
            request = base64.b64decode(json.loads(body)["certificateSigningRequest"])
            return 200, self._certify(x509.load_pem_x509_csr(request), claims)
        if (method, path) == ("POST", LOG):
            return 201, self._record(json.loads(body)["spec"]["proposedContent"])
        return 404, {}

    def _certify(self, request: x509.CertificateSigningRequest, claims: dict[str, Any]) -> Any:
        """Return the chain of a certificate for who the claims say it is, as Fulcio does."""
        assert request.is_signature_valid
        issuer = claims["iss"].encode()
        builder = (
            _certificate(x509.Name([]), self._root.subject, request.public_key(), timedelta(minutes=10))
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority.public_key()), critical=False
            )
            .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(claims["sub"])]), critical=True)
            .add_extension(x509.UnrecognizedExtension(ISSUER_OID, issuer), critical=False)
            .add_extension(x509.UnrecognizedExtension(ISSUER_V2_OID, bytes([12, len(issuer)]) + issuer), critical=False)
        )
        logged = builder.sign(self._authority, hashes.SHA256()).tbs_certificate_bytes
        certificate = builder.add_extension(
            x509.UnrecognizedExtension(SCT_LIST_OID, self._timestamp(logged)), critical=False
        ).sign(self._authority, hashes.SHA256())
        pem = [made.public_bytes(serialization.Encoding.PEM).decode() for made in (certificate, self._root)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": pem}}}

    def _timestamp(self, logged: bytes) -> bytes:
        """Return that the transparency log has a certificate: a list of one SCT (RFC 6962, section 3.3)."""
        milliseconds = int(time.time() * 1000)
        authority = hashlib.sha256(_der(self._authority)).digest()
        entry = authority + len(logged).to_bytes(3, "big") + logged
        signature = self._transparency.sign(
            struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + bytes(2), ec.ECDSA(hashes.SHA256())
        )
        identifier = hashlib.sha256(_der(self._transparency)).digest()
        timestamp = struct.pack("!B32sQHBBH", 0, identifier, milliseconds, 0, 4, 3, len(signature)) + signature
        content = struct.pack("!HH", len(timestamp) + 2, len(timestamp)) + timestamp
        return bytes([4, len(content)]) + content if len(content) < 128 else bytes([4, 129, len(content)]) + content

    def _record(self, proposed: dict[str, Any]) -> Any:
        """Return the entry of a signed statement, as Rekor keeps it: digests, signature and certificate alone."""
        envelope = json.loads(proposed["envelope"])
        payload = base64.b64decode(envelope["payload"])
        body = _canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": {"algorithm": "sha256", "value": _digest(proposed["envelope"].encode())},
                    "payloadHash": {"algorithm": "sha256", "value": _digest(payload)},
                    "signatures": [
                        {"signature": envelope["signatures"][0]["sig"], "verifier": proposed["verifiers"][0]}
                    ],
                },
            }
        )
        key = hashlib.sha256(_der(self._log)).digest()
        entry = {
            "body": base64.b64encode(body).decode(),
            "integratedTime": int(time.time()),
            "logID": key.hex(),
            "logIndex": 0,
        }
        root = hashlib.sha256(b"\0" + body).digest()
        note = f"stand-in - 1\n1\n{base64.b64encode(root).decode()}\n"
        signed = base64.b64encode(key[:4] + self._log.sign(note.encode(), ec.ECDSA(hashes.SHA256()))).decode()
        promise = self._log.sign(_canonical(entry), ec.ECDSA(hashes.SHA256()))
        verification = {
            "signedEntryTimestamp": base64.b64encode(promise).decode(),
            "inclusionProof": {
                "logIndex": 0,
                "treeSize": 1,
                "rootHash": root.hex(),
                "hashes": [],
                "checkpoint": f"{note}\n\u2014 stand-in {signed}\n",
            },
        }
        return {secrets.token_hex(32): entry | {"verification": verification}}

    def _configuration(self) -> dict[str, Any]:
        """Return the trust config: the roots of trust, and where the services are."""
        since = {"start": "2020-01-01T00:00:00Z"}
        service = [{"url": self.url, "majorApiVersion": 1, "validFor": since, "operator": "stand-in"}]
        certificate = base64.b64encode(self._root.public_bytes(serialization.Encoding.DER)).decode()
        authority = {
            "subject": {"organization": "stand-in", "commonName": "sigstore"},
            "uri": self.url,
            "certChain": {"certificates": [{"rawBytes": certificate}]},
            "validFor": since,
        }
        media = "application/vnd.dev.sigstore"
        return {
            "mediaType": f"{media}.clienttrustconfig.v0.1+json",
            "trustedRoot": {
                "mediaType": f"{media}.trustedroot+json;version=0.1",
                "tlogs": [self._trusted_log(self._log)],
                "ctlogs": [self._trusted_log(self._transparency)],
                "certificateAuthorities": [authority],
                "timestampAuthorities": [],
            },
            "signingConfig": {
                "mediaType": f"{media}.signingconfig.v0.2+json",
                "caUrls": service,
                "oidcUrls": service,
                "rekorTlogUrls": service,
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": [],
                "tsaConfig": {"selector": "ANY"},
            },
        }

    def _trusted_log(self, key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        public = _der(key)
        return {
            "baseUrl": self.url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": base64.b64encode(public).decode(),
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            },
            "logId": {"keyId": base64.b64encode(hashlib.sha256(public).digest()).decode()},
        }


def _handler(stand_in: SigstoreStandIn) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = stand_in.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _certificate(subject: x509.Name, issuer: x509.Name, key: Any, lasts: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=5))
        .not_valid_after(now + lasts)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    """Return that a key signs certificates, or that it signs anything else."""
    return x509.KeyUsage(not certificates, False, False, False, False, certificates, certificates, False, False)


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
