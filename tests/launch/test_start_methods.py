"""Scripts that use multiprocessing themselves, under each of its start methods, and dqlab beside it."""

import multiprocessing

import pytest

from tests.cluster import run, script

SCRIPT = """
    import multiprocessing, sys
    from dqlab import LocalWorkers, Master, connect

    def double(x):
        return 2 * x

    def elsewhere(file, results):
        '''A process of the script's own, with a client of its own.'''
        with connect(file) as client:
            results.put(sum(client.map(double, range(100))))

    def whole(results):
        '''A process of the script's own, with a master and workers of its own.'''
        with Master() as master, LocalWorkers(master, 1):
            results.put(master.submit(double, 4).result(30))

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        with Master() as master, LocalWorkers(master, 2) as workers:
            assert list(master.map(double, range(100))) == list(range(0, 200, 2))
            results = multiprocessing.Queue()
            for target, args in ((elsewhere, (str(master.connection_file), results)), (whole, (results,))):
                process = multiprocessing.Process(target=target, args=args)
                process.start()
                print(results.get(timeout=40))
                process.join(20)
                assert process.exitcode == 0, process.exitcode
            # the parent's client is as good as before
            assert master.submit(double, 21).result(20) == 42
        print("done")
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_script_with_processes_of_its_own(tmp_path, method):
    ended = run(script(tmp_path, SCRIPT), method, timeout=100)
    assert (ended.stdout, ended.returncode) == ("9900\n8\ndone\n", 0), ended.stderr


FORGETFUL = """
    import multiprocessing
    from dqlab import LocalWorkers, Master

    with Master() as master, LocalWorkers(master, 1):
        print(list(master.map(abs, [-1, -2])))
"""


def test_a_script_without_a_main_guard_works_too(tmp_path):
    """Workers are no children of multiprocessing: they never import the script."""
    ended = run(script(tmp_path, FORGETFUL))
    assert (ended.stdout, ended.stderr, ended.returncode) == ("[1, 2]\n", "", 0)


TASK_WITH_POOL = """
    import multiprocessing, sys
    from dqlab import LocalWorkers, Master

    def square(x):
        return x * x

    def pooled(method):
        with multiprocessing.get_context(method).Pool(2) as pool:
            return pool.map(abs, [-1, -2, -3])

    if __name__ == "__main__":
        with Master() as master, LocalWorkers(master, 1):
            print(master.submit(pooled, sys.argv[1]).result(60))
"""


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_task_that_uses_a_pool(tmp_path, method):
    ended = run(script(tmp_path, TASK_WITH_POOL), method)
    assert (ended.stdout, ended.returncode) == ("[1, 2, 3]\n", 0), ended.stderr
