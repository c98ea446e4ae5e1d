"""The gateway: the one way out of an agent's sandbox. It adds the key, keeps the budget, counts, records, watches.

models = [AllowedModel(asked="claude-sonnet-4-5", upstream="claude-sonnet-4-5", provider=Provider(...))]
with Gateway(models, Budget(usd=1.0), Recorder(folder_of(store), attempt), LeakWatch(patch)) as gateway:
    ...  # mount gateway.socket.parent into the sandbox, and start the agent by inside/forwarder.py
gateway.usage, gateway.ended, gateway.faults, gateway.leak
"""

from tasks.agents.gateway.models import AllowedModel, Budget, Fault, LeakSeen, Prices, Provider, Usage
from tasks.agents.gateway.recording import Recorder, folder_of
from tasks.agents.gateway.server import Gateway, GatewayError
from tasks.agents.gateway.watching import LeakWatch

__all__ = [
    "AllowedModel",
    "Budget",
    "Fault",
    "Gateway",
    "GatewayError",
    "LeakSeen",
    "LeakWatch",
    "Prices",
    "Provider",
    "Recorder",
    "Usage",
    "folder_of",
]
