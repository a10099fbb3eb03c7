"""Debian's kernels in qemu-system: what they boot from, and how they run a command.

A guest has the root file system of Debian 12, whichever kernel runs under it, with a copy of the
checkout in /srv/prctl where ``./dev test`` finds all it needs. It boots from an initramfs of the
few modules that its disk takes. A second disk brings its command, as a tar, and takes back what the
command leaves in /run/results.
"""

import gzip
import hashlib
import lzma
import os
import re
import selectors
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parent.parent
BUILD = CHECKOUT / "build" / "kernels"

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR, SECURITY = "http://deb.debian.org/debian", "http://deb.debian.org/debian-security"

# By the suite of Debian that has the kernel: what readers call it, and where its packages are.
KERNELS = {
    "bullseye": ("Debian 11", [(MIRROR, "bullseye"), (SECURITY, "bullseye-security")]),
    "bookworm": ("Debian 12", [(MIRROR, "bookworm"), (SECURITY, "bookworm-security")]),
    "trixie": ("Debian 13", [(MIRROR, "trixie"), (SECURITY, "trixie-security")]),
    "trixie-backports": ("Debian 13's backports", [(MIRROR, "trixie-backports")]),
    "bookworm-backports": ("Debian 12's backports", [(MIRROR, "bookworm-backports")]),
    "sid": ("Debian unstable", [(MIRROR, "sid")]),
}
MODULES = "virtio_pci", "virtio_blk", "crc32c_generic", "ext4"


def run(*command, **options):
    return subprocess.run([*map(str, command)], check=True, **options)


def output(*command):
    return run(*command, stdout=subprocess.PIPE, text=True).stdout


def say(text):
    print(f"kernels: {text}", file=sys.stderr, flush=True)


# ---- The kernel


def fetch_kernel(suite):
    """Unpack the newest kernel of a suite; return the folder with its boot/ and its modules."""
    apt = BUILD / "apt" / suite
    (apt / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    sources = [f"deb [signed-by={KEYRING}] {url} {name} main\n" for url, name in KERNELS[suite][1]]
    (apt / "sources.list").write_text("".join(sources))
    options = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": apt,
        "APT::Architecture": "amd64",
        "APT::Architectures": "amd64",
        "APT::Sandbox::User": "root",  # whoever runs this owns the folder
    }
    options = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    run("apt-get", *options, "update", "-qq")
    named = output(
        "apt-cache", *options, "depends", "--recurse", "--important", "linux-image-amd64"
    )
    # Newer ones are in several packages.
    packages = set(re.findall(r"^linux-(?:image|binary|modules)-\d\S*$", named, re.MULTILINE))
    exact = output("apt-get", *options, "download", "--print-uris", *sorted(packages))
    folder = BUILD / "kernel" / hashlib.sha256(exact.encode()).hexdigest()[:8]
    if not folder.exists():
        say(f"downloading {' '.join(sorted(packages))}")
        with tempfile.TemporaryDirectory(dir=BUILD) as temporary:
            run("apt-get", *options, "download", "-qq", *packages, cwd=temporary)
            new = Path(temporary, "kernel")
            for package in Path(temporary).glob("*.deb"):
                run("dpkg-deb", "-x", package, new)
            folder.parent.mkdir(exist_ok=True)
            new.rename(folder)
    return folder


def modules(kernel):
    """The files of MODULES, each after those that it needs; what is no module is in the kernel."""
    (tree,) = next(path for path in kernel.glob("**/lib/modules") if path.is_dir()).iterdir()
    for name in "modules.order", "modules.builtin", "modules.builtin.modinfo":
        (tree / name).touch()  # depmod misses those that the package lacks
    run("depmod", "-b", tree.parents[2], tree.name)
    lines = (tree / "modules.dep").read_text().splitlines()
    files = {
        Path(file).name.partition(".")[0]: (file, needed.split())
        for file, _, needed in (line.partition(":") for line in lines)
    }
    found = {}
    for name in MODULES:
        if name in files:
            file, needed = files[name]
            found |= dict.fromkeys([*reversed(needed), file])
    return [tree / file for file in found]


def make_initramfs(kernel, busybox):
    """The archive that a kernel boots from, as a file beside it."""
    with tempfile.TemporaryDirectory(dir=BUILD) as temporary:
        for name in "bin", "dev", "root", "modules":
            Path(temporary, name).mkdir()
        shutil.copy(HERE / "init", temporary)
        shutil.copy(busybox, Path(temporary, "bin", "busybox"))
        for number, module in enumerate(modules(kernel)):
            data = module.read_bytes()
            plain = lzma.decompress(data) if module.suffix == ".xz" else data
            Path(temporary, "modules", f"{number:03} {module.stem}").write_bytes(plain)
        names = "\0".join(str(path.relative_to(temporary)) for path in Path(temporary).rglob("*"))
        archive = run(
            "cpio",
            "--quiet",
            "-0oH",
            "newc",
            input=names.encode(),
            cwd=temporary,
            stdout=subprocess.PIPE,
        ).stdout
    (kernel / "initramfs").write_bytes(gzip.compress(archive, 1))
    return kernel / "initramfs"


# ---- The root file system


def make_base():
    """Debian 12 with the packages that ``./dev`` wants for building and testing, as a tar."""
    dev = (CHECKOUT / "dev").read_bytes()
    base = BUILD / f"base-{hashlib.sha256(dev).hexdigest()[:8]}.tar"
    if not base.exists():
        say("making the root file system of Debian 12, for a minute or two")
        for old in BUILD.glob("base-*"):
            old.unlink()
        new = base.with_suffix(".new")
        run(
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--format=tar",
            "--variant=minbase",
            "--architectures=amd64",
            "--include=busybox-static,ca-certificates",
            "--customize-hook=mkdir -p $1/srv/prctl",
            f"--customize-hook=cp {CHECKOUT / 'dev'} $1/srv/prctl",
            "--customize-hook=chroot $1 /srv/prctl/dev provide build test",
            "bookworm",
            new,
        )
        new.rename(base)
    return base


def checkout_files():
    git = "git", "-C", CHECKOUT, "-c", f"safe.directory={CHECKOUT}"  # under sudo, somebody else's
    names = set(output(*git, "ls-files", "-z", "-co", "--exclude-standard").split("\0"))
    names.discard("docs/kernels.json")  # which changes with every guest that is asked
    return sorted(name for name in names if (CHECKOUT / name).is_file())


# What pip needs of the machine to find packages.
NETWORK = "/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt"

PREPARE = """
mount --rbind /dev dev
mount -t proc proc proc
exec chroot . /srv/prctl/dev test --version
"""


def make_image():
    """The disk that guests begin with: the checkout built in it, ready for ./dev test."""
    base = make_base()
    files = checkout_files()
    content = hashlib.sha256(base.name.encode() + (HERE / "guest").read_bytes())
    for name in files:
        content.update(f"\0{name}\0".encode() + (CHECKOUT / name).read_bytes())
    image = BUILD / f"root-{content.hexdigest()[:8]}.img"
    if image.exists():
        return image
    say("making the disk")
    for old in BUILD.glob("root-*"):
        old.unlink()
    with tempfile.TemporaryDirectory(dir=BUILD) as root:
        run("tar", "-C", root, "--xattrs", "--xattrs-include=*", "-xf", base)
        for name in files:
            target = Path(root, "srv", "prctl", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, target)
        shutil.copy(HERE / "guest", Path(root, "sbin"))
        for path in NETWORK:
            if Path(path).exists():
                shutil.copy(path, root + path)
        # Its own mounts: what is here stays as it is, and all ends with the command.
        run("unshare", "--mount", "--pid", "--fork", "sh", "-euc", PREPARE, cwd=root)
        new = image.with_suffix(".new")
        new.unlink(missing_ok=True)
        run("mke2fs", "-q", "-t", "ext4", "-d", root, new, "4G")
        shutil.copy(Path(root, "bin", "busybox"), BUILD / "busybox")
    new.rename(image)
    return image


# ---- A guest

ROOM = 256 << 20  # on the second disk, in bytes
SECONDS_TO_BOOT = {"kvm": 60, "tcg": 900}
# no_timer_check: on a busy machine no emulated timer keeps the time that the kernel allows it.
KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=-1 edd=off no_timer_check"


class Silent(Exception):
    """A guest that has not begun."""


def boot(kernel, image, command, *, accelerator, seconds):
    """Run a command under a kernel; what it has left by name, or Silent.

    What the guest writes to its console goes to standard error.
    """
    with tempfile.TemporaryDirectory(dir=BUILD) as temporary:
        disk = exchange(temporary, command)
        vmlinuz = next(path for path in kernel.rglob("vmlinuz*") if path.is_file())
        machine = f"-accel {accelerator} -cpu max -smp 2 -m 3072"
        bare = "-nodefaults -no-reboot -display none -serial stdio"
        boots = ["-kernel", vmlinuz, "-initrd", make_initramfs(kernel, BUILD / "busybox")]
        boots += ["-append", KERNEL_ARGUMENTS]
        drives = ["-drive", f"file={image},format=raw,if=virtio,snapshot=on"]
        drives += ["-drive", f"file={disk},format=raw,if=virtio"]
        qemu = subprocess.Popen(
            ["qemu-system-x86_64", *machine.split(), *bare.split(), *boots, *drives],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        try:
            watch(qemu.stdout, SECONDS_TO_BOOT[accelerator], seconds)
        finally:
            qemu.kill()
            qemu.wait()
        with tarfile.open(disk) as results:
            return {
                Path(member.name).name: results.extractfile(member).read()
                for member in results
                if member.isfile()
            }


def exchange(folder, command):
    """The second disk: a tar with the command."""
    Path(folder, "command").write_text(command)
    disk = Path(folder, "disk")
    with tarfile.open(disk, "w") as tar:
        tar.add(Path(folder, "command"), "command")
    with disk.open("ab") as file:
        file.truncate(ROOM)
    return disk


def watch(console, seconds_to_boot, seconds):
    """Hand on what a guest says until it ends; Silent when it does not begin in time."""
    begun, said = False, b""
    end = time.monotonic() + seconds_to_boot
    with selectors.DefaultSelector() as selector:
        selector.register(console, selectors.EVENT_READ)
        while selector.select(max(0, end - time.monotonic())):
            data = os.read(console.fileno(), 1 << 16)
            if not data:
                break
            said += data
            if not begun and b"guest: " in said:
                begun, end = True, time.monotonic() + seconds
                data = said[said.index(b"guest: ") :]
            if begun:
                sys.stderr.buffer.write(data)
                sys.stderr.flush()
        else:
            if begun:
                raise TimeoutError
    if not begun:
        raise Silent(said.decode(errors="replace"))
