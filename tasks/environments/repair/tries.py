"""What was tried for commits, read back from the store."""

from __future__ import annotations

from configs.models import Config, EnvironmentConfig
from storage.ids import content_hash
from storage.store import Store
from storage.tables import EnvironmentTry


def settings_in_use(store: Store, config: Config) -> dict[str, EnvironmentConfig]:
    """Sha -> the settings that its environment was built with, where the configuration left the choice to isobench.

    An instance holds these, so that others build the same environment without a choice of their own.
    """
    asked = content_hash(config.environment)
    rows = store.rows(EnvironmentTry, config.repository.name, asked=asked, sandbox=config.sandbox.kind, chosen=True)
    # an older run may have needed more tries than the last, whose row replaces the one of its number
    in_order = sorted(rows, key=lambda row: -row.number)
    return {row.sha: EnvironmentConfig.model_validate_json(row.settings) for row in in_order}
