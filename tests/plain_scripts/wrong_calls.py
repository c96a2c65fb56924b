# calls that the queue can't make sense of, and what it raises
from multiprocessing.managers import BaseManager

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
task, result = m.get_task_queue(), m.get_result_queue()
task.put(1)
task.get()
task.task_done()  # the value is done
for queue in (task, result):
    for method, args, kwds in (
        ('get', (True, -1), {}), ('put', (), {}), ('put', (1, 2, 3, 4), {}),
        ('get', (), {'wait': 5}), ('qsize', (1,), {}), ('put', (1,), {'item': 2}), ('get_nowait', (), {}),
    ):
        try:
            queue._callmethod(method, args, kwds)
        except Exception as exc:
            print(method, args, kwds, type(exc).__module__, type(exc).__name__)
try:
    task.task_done()
except ValueError as exc:
    print(exc)
print(task.qsize(), result.qsize())
