# a pool whose processes are given the proxies
import multiprocessing, queue
from multiprocessing.managers import BaseManager

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()

def work(task, result):
    while True:
        try:
            n = task.get(timeout=1)
        except queue.Empty:
            return
        result.put(n * n)

multiprocessing.current_process().authkey = b'abc'
with multiprocessing.get_context('fork').Pool(2) as pool:
    pool.starmap(work, [(m.get_task_queue(), m.get_result_queue())] * 2)
