"""TLS on both sides: who has these files may give work to the cluster and take work from it, and nobody else.

One authority, whose key is thrown away at once, and one certificate for the scheduler, the workers and the clients. The
names in it do not matter: whoever shows it holds the key.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import ClusterError
from benchmark.files import replace_file

if TYPE_CHECKING:
    from distributed.security import Security

AUTHORITY, CERTIFICATE, KEY = "authority.pem", "certificate.pem", "key.pem"
DAYS = 90
MEND = "make new ones: oncorobust cluster certificates FOLDER, and give the folder to every machine of the cluster"


def make_certificates(folder: Path, days: float = DAYS) -> Path:
    """Write an authority's certificate, one signed by it, and that one's key, which only its owner may read.

    Raises:
        DataError: the folder cannot be written. ClusterError: there are certificates already.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    if (folder / KEY).exists():
        raise ClusterError(f"{folder} holds certificates already; remove them first, or name another folder")
    now = datetime.now(UTC)
    begin, end = now - timedelta(minutes=5), now + timedelta(days=days)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def certificate(subject: str, key: ec.EllipticCurvePublicKey, authority: bool) -> bytes:
        builder = x509.CertificateBuilder(named("OncoRobust cluster authority"), named(subject), key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(min(begin, end - timedelta(minutes=1))).not_valid_after(end)
        builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
        signed = builder.sign(signing, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)

    signing, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    key = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(folder / AUTHORITY, certificate("OncoRobust cluster authority", signing.public_key(), True))
    replace_file(folder / CERTIFICATE, certificate("OncoRobust cluster", own.public_key(), False))
    (folder / KEY).touch(mode=0o600)
    (folder / KEY).write_bytes(key)
    return folder


def expires(folder: Path) -> datetime:
    """When the certificates of a folder end.

    Raises:
        ClusterError: one is missing or cannot be read, or has expired or not begun; or others can read the key.
    """
    from cryptography import x509

    lacking = [name for name in (AUTHORITY, CERTIFICATE, KEY) if not (folder / name).is_file()]
    if lacking:
        raise ClusterError(f"{folder} holds no {', '.join(lacking)}; {MEND}")
    if (folder / KEY).stat().st_mode & 0o077:
        raise ClusterError(f"{folder / KEY} can be read by others; run: chmod 600 {folder / KEY}")
    try:
        found = [
            x509.load_pem_x509_certificate((folder / name).read_bytes()) for name in (AUTHORITY, CERTIFICATE)
        ]
    except (OSError, ValueError) as error:
        raise ClusterError(f"the certificates in {folder} cannot be read: {error}; {MEND}") from None
    begin = max(each.not_valid_before_utc for each in found)
    end = min(each.not_valid_after_utc for each in found)
    if end < datetime.now(UTC):
        raise ClusterError(f"the certificate in {folder} expired on {end:%Y-%m-%d %H:%M} UTC; {MEND}")
    if begin > datetime.now(UTC):
        raise ClusterError(
            f"the certificate in {folder} begins on {begin:%Y-%m-%d %H:%M} UTC only; set this machine's clock, or {MEND}"
        )
    return end


def security_of(folder: Path | None, required: bool, where: str) -> Security | None:
    """What Dask wants to know of TLS; None where nothing is encrypted.

    Args:
        required: whether the address is one of tls://. where: the address, for the sentence.

    Raises:
        ClusterError: as `expires`; or TLS is required and no folder was named.
    """
    from distributed.security import Security

    if folder is None:
        if required:
            raise ClusterError(
                f"{where} needs certificates: name their folder by --certificates or ONCOROBUST_CERTIFICATES; "
                "oncorobust cluster certificates FOLDER makes them"
            )
        return None
    expires(folder)
    pair = {}
    for role in ("client", "scheduler", "worker"):
        pair[f"tls_{role}_cert"], pair[f"tls_{role}_key"] = str(folder / CERTIFICATE), str(folder / KEY)
    return Security(require_encryption=True, tls_ca_file=str(folder / AUTHORITY), **pair)
