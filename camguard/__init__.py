"""camguard: know within seconds when somebody watches through your camera who should not."""

__version__ = "0.1.0"
