# a thread for each task: its proxies, and with them its connection, end with it
import queue, threading
from multiprocessing.managers import BaseManager

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
results = []

def take():
    try:
        results.append(m.get_task_queue().get(True, timeout=1))
    except queue.Empty:
        pass

while True:
    before = len(results)
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    if len(results) == before:
        break
    m.get_result_queue().put('%s taken' % results[-1])
