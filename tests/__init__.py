"""Tests of the project; `ROOT` is its top folder."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
