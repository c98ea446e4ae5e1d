"""Instances as task folders of Harbor, which other harnesses' agents can work on."""

from storage.exchange.harbor.task import TaskFiles, task_name, write_task
from storage.exchange.harbor.wheel import constraints, write_wheel

__all__ = ["TaskFiles", "constraints", "task_name", "write_task", "write_wheel"]
