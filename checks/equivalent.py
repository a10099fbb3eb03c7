"""Mutants that nobody can notice, by the reason; see mutations.py."""

REASONS = {
    "its caller asks for less than 0 only": [
        "src/sets.c mask_from_list: return 0; [returns 1]",
        "src/proctitle.c move_by_field: return 0; [returns 1]",
        "src/threads.c restore_handler: return 0; [returns 1]",
    ],
    "behind a switch that has every case": [
        "_prctlmodule.c convert: return 0; [returns 1]",
        "src/plan.c audit_step: return 0; [returns 1]",
    ],
    "what comes next fails in the same way": [
        "src/plan.c same_groups: count < 0 [never]",  # mmap() of no bytes
        "src/plan.c are_same_groups: place == step->groups.count [never]",  # the last comparison
        "src/proctitle.c use_argv: return -1; [returns 0]",  # the capacity is still 0
        "src/proctitle.c title_capacity: title.area == NULL && use_own_area() < 0 && use_argv() < 0"
        " [never]",
        "src/process.c read_file: length < size [always]",  # read() of no bytes
    ],
    "what is then done twice, or to nothing, does nothing": [
        "_prctlmodule.c name_get: utf8 == NULL [always]",
        "_prctlmodule.c name_get: utf8 == NULL && PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)"
        " [always]",
        "_prctlmodule.c set_syscall_user_dispatch: buffer.obj != NULL [always]",
        "src/threads.c run_everywhere: directory >= 0 [always]",
    ],
    "nothing that there is can make the difference": [
        "src/sets.c capability_name: i < sizeof name - 1 [always]",  # no name is so long
        "src/sets.c capability_name: number > last_capability [always]",  # libcap's are ours
        'src/sets.c capability_name: strncmp(known, "cap_", 4) == 0 [never]',
        "src/sets.c number_of_name: utf8[i] <= 'z' [always]",  # no name has such a character
        "src/convert.c unsigned_get: PyErr_ExceptionMatches(PyExc_OverflowError) [always]",
        "src/plan.c step_from_tuple: !PyErr_Occurred() [always]",  # IndexError will do as well
        "src/threads.c is_ours: info->si_code != SI_QUEUE [never]",  # others have no such value
        "src/threads.c is_ours: info->si_pid != all.pid [never]",
        "src/threads.c is_ours: info->si_code != SI_QUEUE || info->si_pid != all.pid [never]",
    ],
    "it only comes sooner or later, or more often": [
        "src/threads.c look_after: waited >= REFUSAL [always]",
        "src/threads.c look_after: waited >= PATIENCE [never]",
        "src/threads.c remember_without_user_mode: remembered <= i [always]",
        "src/threads.c send_to: atomic_load(&all.taken) < all.sent [always]",
        "src/threads.c wait_for_all: atomic_load(&all.slots[i].state) == SENT [always]",
    ],
}

EQUIVALENT = {name for names in REASONS.values() for name in names}
