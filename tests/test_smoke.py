import prctl
import support


def test_a_thread_name_is_what_proc_shows(user):
    def name():
        prctl.set_name("prctl-test")
        with open("/proc/self/comm") as file:
            return file.read()

    assert support.in_child(name, user=user) == "prctl-test\n"


def test_a_filter_refuses_one_call():
    def call():
        prctl.set_no_new_privs()
        prctl.set_seccomp(prctl.SECCOMP_MODE_FILTER, support.refuse("prctl", 13, 16))
        try:
            prctl.get_name()
        except PermissionError as error:
            return error.errno, prctl.get_dumpable()

    assert support.in_child(call, user=True)[0] == 13
