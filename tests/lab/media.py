"""Pictures and sound for the cameras, encoded once per seed so that the run itself only copies."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Film:
    """H.264 (and PCMU sound) of `seconds` at about `kbps` and `fps`; a picture group lasts `group_s`."""

    name: str
    kbps: int
    fps: int
    group_s: int
    seconds: int = 150


def encode(film: Film, folder: Path) -> Path:
    """The film as a Matroska file in `folder`: noise over a moving pattern, so that pictures differ in size."""
    path = folder / f"{film.name}.mkv"
    size = "320x240" if film.kbps >= 400 else "176x144"
    strength = 14 if film.kbps >= 400 else 6 if film.kbps >= 100 else 2
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y",
         "-f", "lavfi", "-i", f"testsrc2=s={size}:r={film.fps},noise=alls={strength}:allf=t",
         "-f", "lavfi", "-i", "anoisesrc=r=8000:a=0.1",
         "-t", str(film.seconds), "-c:v", "libx264", "-preset", "ultrafast",
         "-bf", "0", "-g", str(film.fps * film.group_s), "-b:v", f"{film.kbps}k", "-maxrate", f"{film.kbps * 5 // 4}k",
         "-bufsize", f"{film.kbps}k", "-c:a", "pcm_mulaw", "-ac", "1", str(path)],
        check=True, timeout=120,
    )  # fmt: skip
    return path


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for every cloud."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert),
         "-days", "2", "-subj", "/CN=cloud.example"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return cert, key


def encode_sound(film: Film, samples: int, folder: Path) -> Path:
    """PCMU at 64 kbit/s in packets of `samples` samples, as Matroska."""
    path = folder / f"{film.name}.mkv"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"anoisesrc=r=8000:a=0.1,asetnsamples=n={samples}", "-t",
         str(film.seconds), "-c:a", "pcm_mulaw", "-ac", "1", str(path)],
        check=True, timeout=60,
    )  # fmt: skip
    return path
