"""What the demo's agents are said to come to follows from the truth about the patches that they apply."""

from __future__ import annotations

from configs.demo.truth import EMPTY, load_expected, patch_file
from configs.models import SandboxConfig
from tasks.agents.demo import demo_config, load_demo_agents


def test_every_model_tries_every_instance_with_a_patch_that_is_there():
    expected, agents = load_expected(), load_demo_agents()
    for model, patches in agents.models.items():
        assert set(patches) == set(expected.by_name), model
        assert all(patch == EMPTY or patch_file(name, patch).is_file() for name, patch in patches.items())


def test_opt_at_1_is_the_share_of_patches_that_reach_the_human():
    expected, agents = load_expected(), load_demo_agents()
    for model, patches in agents.models.items():
        truths = [expected.by_name[name].patches[patch] for name, patch in patches.items() if patch != EMPTY]
        assert agents.opt_at_1[model] == sum(truth.opt_human == "yes" for truth in truths) / len(patches)


def test_the_runs_have_a_model_for_each_and_a_price():
    config = demo_config("store", "http://127.0.0.1:1", SandboxConfig())
    assert [model.name for model in config.models] == list(load_demo_agents().models)
    assert all(model.prices is not None and model.provider.key is None for model in config.models)
