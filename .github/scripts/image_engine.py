"""Docker, or buildah and podman where no daemon answers, behind the few verbs that a check of an image needs.

image_engine.py load ARCHIVE IMAGE      an OCI archive becomes an image of this machine's engine
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from command_line import ended


class EngineFailed(RuntimeError):
    """A command of the engine failed; the message holds its own words."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Commands with their options."""

    run: tuple[str, ...]
    builder: tuple[str, ...]
    storage: str  # skopeo's name for the images that lie here
    archive: str  # the kind of archive that `save` writes
    run_options: tuple[str, ...] = ()

    def build(self, image: str, context: Path, options: Sequence[str]) -> None:
        """Build an image; what the builder says goes to the terminal."""
        command = [*self.builder, "--tag", image, *options, str(context)]
        if subprocess.run(command, check=False).returncode:
            raise EngineFailed(f"{' '.join(command[:2])} failed; its last lines say why")

    def derive(self, image: str, base: str, folder: Path) -> None:
        """Make another image over `base` that differs in nothing but a label."""
        context = folder / "second"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(f"FROM {base}\nLABEL qubinode.check=second\n", "utf-8")
        self.build(image, context, [])

    def facts(self, image: str) -> tuple[int, int, bool]:
        """Bytes unpacked, number of layers, and whether it has a health check."""
        tree = json.loads(output([*self.run, "image", "inspect", image]))[0]
        checked = tree.get("HealthCheck") or tree.get("Healthcheck") or tree["Config"].get("Healthcheck")
        return int(tree["Size"]), len(tree["RootFS"]["Layers"]), bool(checked)

    def save(self, image: str, path: Path) -> None:
        """Write the image into an archive."""
        path.unlink(missing_ok=True)
        output([*self.run, "save", "--output", str(path), image])

    def load(self, path: Path, image: str) -> None:
        """Take an image out of an OCI archive."""
        output(["skopeo", "copy", "--quiet", f"oci-archive:{path}", f"{self.storage}{image}"])

    def remove(self, container: str) -> None:
        """End a container and forget it and its volumes."""
        output([*self.run, "rm", "--force", "--volumes", container])

    def index(self, reference: str, parts: Sequence[str]) -> None:
        """Push an index over pushed images of one or several architectures to a registry on loopback."""
        if self.run[0] == "docker":
            output(["docker", "buildx", "imagetools", "create", "--tag", reference, *parts])
            return
        name = output(["buildah", "manifest", "create", f"localhost/index-{reference.rpartition(':')[2]}"]).strip()
        try:
            for part in parts:
                output(["buildah", "manifest", "add", "--tls-verify=false", name, f"docker://{part}"])
            push = ["buildah", "manifest", "push", "--all", "--tls-verify=false", name, f"docker://{reference}"]
            output(push)
        finally:
            output(["buildah", "manifest", "rm", name])


DOCKER = Engine(("docker",), ("docker", "build"), "docker-daemon:", "docker-archive")
PODMAN = Engine(
    ("podman", "--runtime=runc", "--cgroup-manager=cgroupfs"),  # crun and systemd's groups need an init system
    ("buildah", "bud", "--format=docker", "--layers", "--network=host"),  # OCI's format has no HEALTHCHECK
    "containers-storage:",
    "docker-archive",
    # podman would lay writable folders over a read-only root, and ask for more than an unprivileged host gives
    ("--read-only-tmpfs=false", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
)


def find_engine() -> Engine:
    """The engine of this machine. Raises EngineFailed where there is none."""
    if shutil.which("docker") and not subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        return DOCKER
    missing = [command for command in ("buildah", "podman", "runc", "skopeo") if not shutil.which(command)]
    if missing:
        raise EngineFailed(f"no docker daemon answers, and {', '.join(missing)} is missing; install it")
    return PODMAN


def output(command: Sequence[str]) -> str:
    """What a command prints. Raises EngineFailed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EngineFailed(f"{command[0]} cannot be run ({error}); install it") from error
    if done.returncode:
        raise EngineFailed(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-400:]}")
    return done.stdout


def main(argv: Sequence[str]) -> int:
    """Load; 1 with one sentence when it fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["load"])
    parser.add_argument("archive", type=Path)
    parser.add_argument("image")
    options = parser.parse_args(argv)
    try:
        find_engine().load(options.archive, options.image)
    except EngineFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
