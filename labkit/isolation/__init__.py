"""Runs what a learner made where it can do no harm: a file system, user, network and limits of its own.

- `guard`: the one interface (`Guard`), and the choice between a sandbox and none;
- `sandbox`: a command in a fresh sandbox, by bubblewrap; `zygote`: the same from a preloaded process;
- `functions` and `tensors`: a learner's function or model file, called and read across a pipe;
- `network`: reaching a server inside from outside;
- `limits`, `cgroups`, `seccomp`, `mounts`, `privileges`, `syscalls`: what a sandbox is made of;
- `janitor`: clears away what a killed process left.

Importing the package imports none of them: the process that becomes a sandbox has to start fast.
"""
