"""Attacks by what a notebook runs: on the machine, on what is hidden, on other work, on the points."""

from __future__ import annotations

from attacks.attack import attack

# ---- taking more than there is ----------------------------------------------------------------------------

attack("loops", "while True: pass", "timeout", slow=True)
attack(
    "fork_bomb",
    "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    "timeout",
    "crashed",
    slow=True,
)
attack(
    "forks_200",
    "children = [attempt(os.fork) for _ in range(8)]\ntime.sleep(0.2)",
    "graded",
    "crashed",
    "timeout",
)
attack(
    "memory",
    "blocks = []\nwhile True: blocks.append(os.urandom(1 << 20) * 64)",
    "crashed",
    "timeout",  # on a machine so busy that the time is up first
)
attack(
    "disk",
    "with open('big', 'wb') as file:\n"
    "    for _ in range(10_000): attempt(lambda: (file.write(bytes(1 << 20)), file.flush()))",
    "graded",
    "crashed",
)
attack(
    "many_files", "for n in range(20_000): attempt(lambda: open(f'f{n}', 'w').close())", "graded", "crashed"
)
attack(
    "sparse",
    "with open('sparse', 'wb') as file:\n    attempt(lambda: file.truncate(1 << 40))",
    "graded",
    "crashed",
)
attack("prints_100_mb", "for _ in range(100): print('x' * 1_000_000)")
attack("prints_below_python", "for _ in range(200): os.write(1, b'x' * 1_000_000)", "graded", "timeout")
attack(
    "fills_every_place",
    "for place in ('/tmp', '/dev/shm', '/var/tmp', '/run', '/home'):\n"
    "    for n in range(40): attempt(lambda: open(f'{place}/fill-{n}', 'wb').write(bytes(4 << 20)))",
    "graded",
    "crashed",
)
attack(
    "zip_bomb",
    "import io, zipfile\n"
    "with zipfile.ZipFile('bomb.zip', 'w', zipfile.ZIP_DEFLATED) as archive:\n"
    "    for n in range(4): archive.writestr('../' * 9 + f'canary-{n}', bytes(50 << 20))\n"
    "for name in ('answers.npz', 'model.pt', 'notes.docx', 'wheel.whl'): pathlib.Path(name).write_bytes(pathlib.Path('bomb.zip').read_bytes())",
    "graded",
    "timeout",
)
attack(
    "raises_its_priority",
    "attempt(lambda: os.nice(-10)) and loot('{marker} nicer')\n"
    "attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)) or 1) and loot('{marker} real time')\n"
    "attempt(lambda: os.write(os.open('/proc/self/oom_score_adj', os.O_WRONLY), b'-1000')) and loot('{marker} never killed')\n"
    "import resource\n"
    "for each in (resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):\n"
    "    soft, hard = resource.getrlimit(each)\n"
    "    if hard != resource.RLIM_INFINITY: attempt(lambda: resource.setrlimit(each, (hard + 1, hard + 1)) or 1) and loot('{marker} more')",
)
attack("deep_folders", "for _ in range(300): os.mkdir('d'); os.chdir('d')", "graded", "crashed")
attack(
    "leaves_a_daemon",
    "pid = os.fork()\n"
    "if pid == 0:\n"
    "    os.setsid()\n"
    "    if os.fork(): os._exit(0)\n"
    "    for handle in range(3, 64): attempt(lambda: os.close(handle))\n"
    "    while True: time.sleep(0.1)\n"
    "os.waitpid(pid, 0)",
)
attack("exits", "os._exit(0)", "crashed")
attack("dies", "import signal\nos.kill(os.getpid(), signal.SIGKILL)", "crashed")
attack("stops_itself", "import signal\nos.kill(os.getpid(), signal.SIGSTOP)", "timeout", slow=True)

# ---- reading what is hidden -------------------------------------------------------------------------------

attack(
    "reads_known_places",
    "for path in {places!r}:\n    loot(attempt(lambda: open(path).read()))\n    loot(attempt(lambda: os.listdir(path)))",
)
attack(
    "searches_everywhere",
    "for base, folders, files in os.walk('/'):\n"
    "    folders[:] = [f for f in folders if os.path.join(base, f) not in ('/usr', '/proc', '/sys', {venv!r})]\n"
    "    for name in files:\n"
    "        path = os.path.join(base, name)\n        data = os.path.isfile(path) and attempt(lambda: open(path, 'rb').read(1 << 20))\n"
    "        if data and {marker!r}.encode() in data and 'ipynb' not in name: loot(data)",
)
attack(
    "reads_proc",
    "for pid in ['self', *filter(str.isdigit, os.listdir('/proc'))]:\n"
    "    for name in ('environ', 'cmdline', 'root/etc/shadow', 'cwd/gradebook.db', 'maps'):\n"
    "        if name != 'maps': loot(attempt(lambda: open(f'/proc/{{pid}}/{{name}}', 'rb').read()))\n"
    "loot(os.environ)",
)
attack(
    "reads_memory_of_others",
    "import ctypes\n"
    "libc = ctypes.CDLL(None)\n"
    "for pid in range(1, 40):\n"
    "    if pid != os.getpid() and libc.ptrace(16, pid, 0, 0) == 0: loot('{marker} traced')\n"
    "attempt(lambda: open('/proc/1/mem', 'r+b').read(1)) and loot('{marker} memory of 1')",
)
attack(
    "inherited_descriptors",
    "for handle in range(0, 300):\n"
    "    target = attempt(lambda: os.readlink(f'/proc/self/fd/{{handle}}')) or ''\n"
    "    if target.startswith('/') and not target.startswith(('/dev', '/home', '/tmp', '/proc')): loot('{marker} ' + target)",
)
attack(
    "sees_other_processes",
    "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
    "    if attempt(lambda: os.stat(f'/proc/{{pid}}').st_uid) not in (None, os.getuid()): loot('{marker} process ' + pid)\n"
    "for path in ('/proc/kcore', '/proc/kmsg', '/proc/kallsyms', '/dev/kmsg', '/proc/sched_debug'):\n"
    "    data = attempt(lambda: open(path, 'rb').read(64)) or b''\n"
    "    if data.strip(b'0 \\n') and path != '/proc/kallsyms': loot('{marker} ' + path)",
)
attack(
    "imports_the_rubric",
    "import importlib\nloot(attempt(lambda: importlib.import_module('autograder.rubrics')))",
)
attack(
    "installed_answers",
    "import autograder\nloot(list(pathlib.Path(autograder.__file__).parent.rglob('*.toml')))",
)
attack("leaves_links", "attempt(lambda: os.symlink({rubric!r}, '{cells}/loot.txt'))\nos.symlink('/', 'root')")
attack(
    "hard_links",
    "attempt(lambda: os.link('/etc/passwd', 'passwd'))\nattempt(lambda: os.link({rubric!r}, '{cells}/loot.txt'))",
)

# ---- writing elsewhere ------------------------------------------------------------------------------------

attack(
    "writes_outside",
    "for path in {places!r}:\n"
    "    attempt(lambda: open(path, 'a').write('forged'))\n"
    "    attempt(lambda: open(os.path.join(path, 'forged'), 'w').write('forged'))\n"
    "    attempt(lambda: os.rename(path, path + '.old'))\n"
    "    attempt(lambda: __import__('shutil').rmtree(path))",
)
attack(
    "writes_the_kernels_files",
    "for path in ('/proc/sys/kernel/hostname', '/proc/sys/vm/drop_caches', '/proc/sysrq-trigger', '/proc/1/oom_score_adj',\n"
    "             '/proc/sys/kernel/core_pattern', '/sys/kernel/mm/ksm/run', '/proc/self/uid_map', '/proc/self/attr/current'):\n"
    "    attempt(lambda: os.write(os.open(path, os.O_WRONLY), b'1')) and loot('{marker} wrote ' + path)",
)
attack(
    "updates_the_gradebook",
    "import sqlite3\n"
    "attempt(lambda: sqlite3.connect({gradebook!r}).execute('update grade set auto_score = 100'))",
)
attack(
    "makes_namespaces_and_mounts",
    "import ctypes\n"
    "libc = ctypes.CDLL(None)\n"
    "for call in (lambda: libc.unshare(0x10000000), lambda: libc.unshare(0x20000),\n"
    "             lambda: libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None), lambda: libc.chroot(b'/tmp'),\n"
    "             lambda: libc.setns(0, 0), lambda: libc.ptrace(0, 0, 0, 0)):\n"
    "    if call() >= 0: loot('{marker} ' + str(call))\n"
    "loot(attempt(lambda: subprocess.run(['unshare', '-Ur', 'id'], capture_output=True, text=True).stdout))",
)
attack(
    "becomes_root",
    "for call in (os.setuid, os.setgid):\n    attempt(lambda: call(0))\nif os.getuid() == 0: loot('{marker}')",
)
attack(
    "makes_devices",
    "import stat\nif attempt(lambda: os.mknod('disk', 0o666 | stat.S_IFBLK, os.makedev(254, 0)) or 1): loot('{marker}')",
)
attack(
    "signals_everyone",
    "import signal\n"
    "for number in (signal.SIGSTOP, signal.SIGTERM):\n"
    "    for pid in (1, os.getppid(), {grader}, *range(2, 400)):\n"
    "        if pid != os.getpid(): attempt(lambda: os.kill(pid, number))\n",
    "graded",
    "crashed",
    "timeout",
    slow=True,
)
attack(
    "connects",
    "import socket\n"
    "for family, address in ((socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_INET6, ('::1', {port})),\n"
    "                        (socket.AF_UNIX, {socket!r}), (socket.AF_UNIX, chr(0) + {abstract!r})):\n"
    "    with socket.socket(family) as line:\n"
    "        line.settimeout(2)\n"
    "        if attempt(lambda: line.connect(address) or 1): loot('{marker} connected')",
)
attack(
    "raw_sockets",
    "import socket\nfor family, kind in ((2, 3), (17, 3), (40, 1), (38, 5)):\n    if attempt(lambda: socket.socket(family, kind)): loot('{marker} socket')",
)

# ---- forging ----------------------------------------------------------------------------------------------

attack(
    "replaces_the_check",
    "import types\n"
    "fake = types.ModuleType('autograder')\n"
    "fake.check = lambda *names: 1000.0\n"
    "sys.modules['autograder'] = fake\n"
    "check = fake.check",
)
attack(
    "always_equal",
    "class Yes:\n    __eq__ = lambda *_: True\n    __bool__ = lambda *_: True\n"
    "import builtins\nbuiltins.isinstance = lambda *_: True",
    "graded",
    "timeout",
    "crashed",
    slow=True,
)
attack(
    "drops_asserts",
    "import ast\n"
    "class Drop(ast.NodeTransformer):\n    def visit_Assert(self, node): return ast.Pass()\n"
    "get_ipython().ast_transformers.append(Drop())\n"
    "get_ipython().input_transformers_cleanup.append(lambda lines: ['1000.0'])",
)
attack(
    "answers_for_the_grader",
    "import json\n"
    "outcome = {{'check': 'made', 'title': 'made', 'verdict': 'passed', 'points': 5, 'maximum': 5, 'evidence': ''}}\n"
    "for handle in range(1, 64):\n"
    "    attempt(lambda: os.set_blocking(handle, False))\n"
    "    for line in ({{'outcome': outcome}}, {{'ended': 'ran'}}, {{'cell': 4}}, {{'output': {{'output_type': 'x'}}}}, [1], 7):\n"
    "        attempt(lambda: os.write(handle, json.dumps(line).encode() + b'\\n'))",
    "graded",
    "crashed",
    "timeout",
    slow=True,
)
attack(
    "floods_the_grader",
    "for handle in range(1, 64):\n"
    "    attempt(lambda: os.set_blocking(handle, False))\n"
    '    for line in (b\'[\' * 100_000, b\'{{"output": \' * 10_000, b\'{{"stream": "stdout", "text": "\' + b\'x\' * 500_000):\n'
    "        for _ in range(20): attempt(lambda: os.write(handle, line))\n"
    "        attempt(lambda: os.write(handle, b'\\n'))",
    "graded",
    "crashed",
    "timeout",
    slow=True,
)
attack(
    "answers_after_the_end",
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork(): os._exit(0)\n"
    "    for handle in range(0, 64): attempt(lambda: os.close(handle))\n"
    "    while True:\n"
    "        time.sleep(0.3)\n"
    "        for base, folders, files in os.walk('/'):\n"
    "            if base.endswith('{cells}'): attempt(lambda: open(base + '/made.txt', 'w').write('made'))\n"
    "            folders[:] = [f for f in folders if base != '/' or f in ('home', 'tmp')]",
)
attack(
    "swaps_files_while_they_are_taken",
    "if os.fork() == 0:\n"
    "    os.setsid()\n"
    "    if os.fork(): os._exit(0)\n"
    "    for handle in range(0, 64): attempt(lambda: os.close(handle))\n"
    "    while True:\n"
    "        for target in ({rubric!r}, {other!r} + '/private.txt', '/etc/passwd'):\n"
    "            attempt(lambda: (os.symlink(target, '{cells}/new'), os.rename('{cells}/new', '{cells}/loot.txt')))\n"
    "            attempt(lambda: (open('{cells}/new', 'w').close(), os.rename('{cells}/new', '{cells}/loot.txt')))",
)
attack(
    "times_the_grader",
    "import threading\n"
    "started = time.perf_counter_ns()\n"
    "def watch():\n"
    "    while True:\n"
    "        with open('{cells}/made.txt', 'w') as file: file.write('made' if time.perf_counter_ns() - started > 3_000_000_000 else 'no')\n"
    "        time.sleep(0.01)\n"
    "threading.Thread(target=watch, daemon=True).start()\n"
    "for _ in range(50): attempt(lambda: open('/proc/loadavg').read()); time.sleep(0.001)",
)
attack(
    "leaves_a_forged_end",
    "import json\n"
    "for place in ('/tmp', '.', '..'):\n"
    "    attempt(lambda: open(place + '/ended.json', 'w').write('{{\"ended\": \"ran\"}}'))\n"
    "    attempt(lambda: open(place + '/executed.ipynb', 'w').write(json.dumps({{'nbformat': 4, 'cells': 3}})))\n"
    "os._exit(0)",
    "crashed",
)
attack(
    "raises_nonsense",
    "class Odd(BaseException):\n    def __str__(self): raise self\n    __repr__ = __str__\nraise Odd",
    "graded",
    "crashed",
)

# ---- files that are no files ------------------------------------------------------------------------------

attack("pipe_instead_of_a_file", "os.mkfifo('{cells}/made.txt')")
attack("folder_instead_of_a_file", "os.makedirs('{cells}/made.txt/made.txt')")
attack("link_instead_of_a_folder", "__import__('shutil').rmtree('{cells}')\nos.symlink({other!r}, '{cells}')")
attack(
    "unreadable_files",
    "open('{cells}/made.txt', 'w').write('no')\nos.chmod('{cells}/made.txt', 0)\nos.chmod('{cells}', 0)",
    "graded",
    "crashed",
)
attack(
    "odd_names",
    "for name in ('a\\nb', 'a\\rb', '\\x1b[31mred', 'a\\u202egpj.exe', ' ', '-rf', '..x', 'e\\u0301', '\\udcff', 'con', 'a' * 255):\n"
    "    attempt(lambda: open(name, 'w').close())\n"
    "    attempt(lambda: open(os.fsencode(name), 'w').close())",
)
attack(
    "rights_that_stay",
    "for mode in (0o4777, 0o2777, 0o1777):\n"
    "    open(f'{{mode}}', 'w').write('#!/bin/sh\\n'); os.chmod(f'{{mode}}', mode)\n"
    "os.mkdir('group'); os.chmod('group', 0o2777)\n"
    "attempt(lambda: os.setxattr('{cells}', 'user.note', b'{marker}'))",
)
attack(
    "code_for_the_grader",
    "text = \"open('{canary}', 'w').close()\\n\"\n"
    "for name in ('conftest.py', 'sitecustomize.py', 'usercustomize.py', 'json.py', 'pytest.py', 'numpy.py', 'pathlib.py'):\n"
    "    for place in ('.', '{cells}'):\n"
    "        open(f'{{place}}/{{name}}', 'w').write(text)\n"
    "open('pytest.ini', 'w').write('[pytest]\\naddopts = -p conftest')",
)
