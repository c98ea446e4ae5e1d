"""The local sandbox: bubblewrap, control groups, a seccomp filter."""
