# serves five names, as the next script wants them
import threading
from multiprocessing.managers import BaseManager
from queue import Queue

job, result, found, log, stop = Queue(), Queue(), Queue(), Queue(), threading.Event()
class QueueManager(BaseManager): pass
QueueManager.register('get_job_q', callable=lambda: job)
QueueManager.register('get_result_q', callable=lambda: result)
QueueManager.register('get_found_q', callable=lambda: found)
QueueManager.register('get_log_q', callable=lambda: log)
QueueManager.register('get_stop_event', callable=lambda: stop)
QueueManager(address=('127.0.0.1', 5000), authkey=b'abc').get_server().serve_forever()
