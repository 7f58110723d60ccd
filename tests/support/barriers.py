"""Places that refuse: for a user without rights, and on disks that are full."""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

POSIX = pytest.mark.skipif(os.name == "nt", reason="permissions and devices of POSIX")


@contextmanager
def without_rights(path):
    """``path``, a folder or a file, may not be read or written while the block runs, even where tests run as root."""
    if os.geteuid() == 0:
        os.seteuid(65534)  # pytest's folders are root's alone
        try:
            yield
        finally:
            os.seteuid(0)
        return
    before = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(before)


@contextmanager
def write_protected(path):
    """``path`` may be read, but not written, while the block runs."""
    if os.geteuid() != 0:
        before = path.stat().st_mode
        path.chmod(before & ~0o222)
        try:
            yield
        finally:
            path.chmod(before)
        return
    if subprocess.run(["chattr", "+i", path], capture_output=True).returncode:
        pytest.skip("nothing is protected from root here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def full_disk(path):
    """``path`` as a link to a device that is always full."""
    device = Path("/dev/full")
    if not device.is_char_device():
        pytest.skip("there is no /dev/full")
    path.symlink_to(device)
    return path
