"""What capabilities(7) says of a thread, in plain Python: nothing here asks the kernel or prctl.

Sets are ints, one bit a capability. A change returns the new thread; what the kernel refuses raises
Refused, with the thread as it was.
"""

from dataclasses import dataclass, replace

SETUID, SETPCAP = 1 << 7, 1 << 8

NOROOT, NO_SETUID_FIXUP, KEEP_CAPS, NO_CAP_AMBIENT_RAISE = 1, 1 << 2, 1 << 4, 1 << 6
BASES = NOROOT | NO_SETUID_FIXUP | KEEP_CAPS | NO_CAP_AMBIENT_RAISE
LOCKS = BASES << 1


class Refused(Exception):
    """The kernel answers EPERM."""


def demand(condition):
    if not condition:
        raise Refused


@dataclass(frozen=True)
class Thread:
    uids: tuple[int, int, int]  # real, effective, saved
    effective: int
    permitted: int
    inheritable: int
    ambient: int
    bounding: int
    securebits: int
    no_new_privs: bool

    def capset(self, effective, permitted, inheritable):
        demand(not permitted & ~self.permitted)
        demand(not effective & ~permitted)
        if not self.effective & SETPCAP:
            demand(not inheritable & ~(self.inheritable | self.permitted))
        demand(not inheritable & ~(self.inheritable | self.bounding))
        return replace(
            self,
            effective=effective,
            permitted=permitted,
            inheritable=inheritable,
            ambient=self.ambient & permitted & inheritable,
        )

    def raise_ambient(self, capability):
        demand(self.permitted & self.inheritable & capability)
        demand(not self.securebits & NO_CAP_AMBIENT_RAISE)
        return replace(self, ambient=self.ambient | capability)

    def drop_ambient(self, capabilities):
        return replace(self, ambient=self.ambient & ~capabilities)

    def drop_bounding(self, capabilities):
        demand(self.effective & SETPCAP)
        return replace(self, bounding=self.bounding & ~capabilities)

    def set_securebits(self, bits):
        locked = (self.securebits & LOCKS) >> 1
        demand(not locked & (self.securebits ^ bits))
        demand(not self.securebits & LOCKS & ~bits)
        demand(self.effective & SETPCAP)
        return replace(self, securebits=bits)

    def set_keepcaps(self, value):
        demand(not self.securebits & KEEP_CAPS << 1)
        others = self.securebits & ~KEEP_CAPS
        return replace(self, securebits=others | (KEEP_CAPS if value else 0))

    def set_no_new_privs(self):
        return replace(self, no_new_privs=True)

    def setresuid(self, *uids):
        if not self.effective & SETUID:
            demand(set(uids) <= set(self.uids))
        after = replace(self, uids=uids)
        if self.securebits & NO_SETUID_FIXUP:
            return after
        if 0 in self.uids and 0 not in uids:
            after = replace(after, ambient=0)
            if not self.securebits & KEEP_CAPS:
                after = replace(after, permitted=0, effective=0)
        if self.uids[1] == 0 and uids[1] != 0:
            after = replace(after, effective=0)
        if self.uids[1] != 0 and uids[1] == 0:
            after = replace(after, effective=after.permitted)
        return after

    def exec(self, as_before_6_16=False):
        """Of a file of uid 0 that is neither set-user-ID nor has capabilities.

        Before Linux 6.16 an effective uid that is not the real one counted as set-user-ID.
        """
        real, effective, _ = self.uids
        is_root = not self.securebits & NOROOT and 0 in (real, effective)
        is_set_uid = as_before_6_16 and real != effective
        ambient = 0 if is_set_uid else self.ambient
        permitted = self.bounding | self.inheritable if is_root else 0
        gains = is_set_uid or permitted & ~self.permitted
        has_all = is_root and effective == 0
        if gains and self.no_new_privs:
            effective = real
            permitted &= self.permitted
        permitted |= ambient
        return replace(
            self,
            uids=(real, effective, effective),
            permitted=permitted,
            effective=permitted if has_all else ambient,
            ambient=ambient,
            securebits=self.securebits & ~KEEP_CAPS,
        )
