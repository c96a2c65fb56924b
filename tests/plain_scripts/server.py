from multiprocessing.managers import BaseManager
from queue import Queue
tasks = Queue()
results = Queue()
class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue', callable=lambda: tasks)
QueueManager.register('get_result_queue', callable=lambda: results)
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc')
s = m.get_server()
s.serve_forever()
