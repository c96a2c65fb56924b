# finds new tasks in each task; its master joins the queue
import queue
from multiprocessing.managers import BaseManager

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
task, result = m.get_task_queue(), m.get_result_queue()
while True:
    try:
        n = task.get(timeout=1)
    except queue.Empty:
        break
    if n < 8:
        task.put(2 * n)
        task.put(2 * n + 1)
    result.put(n)
    task.task_done()
