# takes a handful, and answers it then
import os, time
from multiprocessing.managers import BaseManager

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
task, result = m.get_task_queue(), m.get_result_queue()
while task.qsize():
    batch = [task.get() for _ in range(min(5, task.qsize()))]
    print('took', len(batch), flush=True)
    for n in batch[:len(batch)]:
        result.put(n * n)
    batch.clear()
