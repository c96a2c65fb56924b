# puts what it is told to, and shows as many results as it is told to
from multiprocessing.managers import BaseManager

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
task, result = m.get_task_queue(), m.get_result_queue()
for item in ITEMS:
    task.put(item)
print(sorted(result.get(timeout=30) for _ in range(COUNT)))
