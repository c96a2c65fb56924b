# a stop sign that each worker puts back for the next
import queue
from multiprocessing.managers import BaseManager

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
task, result = m.get_task_queue(), m.get_result_queue()
while True:
    try:
        n = task.get_nowait()
    except queue.Empty:
        continue
    if n is None:
        task.put(None)
        break
    result.put(n * n)
