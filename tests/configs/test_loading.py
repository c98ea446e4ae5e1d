"""YAML + overrides -> Config, and every mistake with file, line, field and what was expected."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from configs.loading import ConfigError, load_config
from configs.models import Config

SHIPPED = sorted(Path("configs").resolve().glob("*.yaml"))

UNCLOSED = "broken YAML: expected ',' or ']', but got '<stream end>' (while parsing a flow sequence)"


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes, name: str = "x.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def problems(path: Path, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return [problem.replace(f"{path.parent}/", "") for problem in caught.value.problems]


def test_defaults_are_filled_in(write):
    config = load_config(write("repository: {name: a/b}\n"))
    assert config == Config.model_validate({"repository": {"name": "a/b"}})
    assert config.scoring.min_speedup == 1.2


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_files_validate(path):
    config = load_config(path)
    assert "/" in config.repository.name


def test_shipped_files_are_all_seen():
    assert {path.name for path in SHIPPED} >= {"more-itertools.yaml", "vllm.yaml", "sglang.yaml"}


def test_gpu_files_ask_for_a_gpu_and_for_docker():
    for name in ("vllm", "sglang"):
        config = load_config(Path("configs") / f"{name}.yaml")
        assert "cuda" in config.repository.languages
        assert (config.timing.device, config.sandbox.kind) == ("cuda", "docker")


def test_values_keep_their_types(write):
    config = load_config(
        write("repository: {name: a/b}\nmining:\n  since: 2020-01-31\n  use_keywords: false\n  keywords: [no, 12:30]\n")
    )
    assert config.mining.since == date(2020, 1, 31)
    assert config.mining.use_keywords is False
    assert config.mining.keywords == ["no", "12:30"]


def test_an_empty_section_means_its_defaults_and_null_switches_the_model_off(write):
    config = load_config(write("repository: {name: a/b}\ntiming:\nllm: ~\n"))
    assert config.timing.max_rounds == 60
    assert config.llm is None


def test_every_problem_is_named_with_its_line_in_order(write):
    path = write(
        "repository:\n  name: a/b\n  languages: [python, fortran]\n"
        "mining:\n  max_file: 3\n  max_files: many\n  since: 2020-13-01\n  keywords: perf\n"
        "environment:\n  python: 3.10\n"
        "llm:\n  temperature: 9\n"
    )
    assert problems(path) == [
        "x.yaml:3: repository.languages[1]: expected one of python, c, cpp, cython, cuda, rust, got 'fortran'",
        "x.yaml:5: mining.max_file: unknown option; did you mean 'max_files'?",
        "x.yaml:6: mining.max_files: expected an integer greater than 0, got 'many'",
        "x.yaml:7: mining.since: expected a date such as 2024-01-31, or null, got '2020-13-01'",
        "x.yaml:8: mining.keywords: expected a list of texts, got 'perf'",
        'x.yaml:10: environment.python: expected text, got 3.1 (put it in quotes: "...")',
        "x.yaml:11: llm.model: missing; expected text",
        "x.yaml:12: llm.temperature: expected a number of at least 0 and of at most 2, or null, got 9",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mining: {max_files: 0}", "mining.max_files: expected an integer greater than 0, got 0"),
        ("mining: {max_files: '3'}", "mining.max_files: expected an integer greater than 0, got '3'"),
        ("mining: {max_files: true}", "mining.max_files: expected an integer greater than 0, got true"),
        ("mining: {max_files: 2.0}", "mining.max_files: expected an integer greater than 0, got 2.0"),
        ("mining: {use_keywords: yes}", "mining.use_keywords: expected true or false, got 'yes'"),
        ("mining: 3", "mining: expected a section with options, got 3"),
        ("mining: [a]", 'mining: expected a section with options, got ["a"]'),
        ("scoring: {opt_threshold: .nan}", "scoring.opt_threshold: expected a number greater than 0, got NaN"),
        ("sandbox: {kind: podman}", "sandbox.kind: expected one of local, docker, got 'podman'"),
        ("perf_tests: {seeded: {abcdef1: [3]}}", "perf_tests.seeded.abcdef1[0]: expected text, got 3"),
        ("perf_tests: {seeded: {abcdef1: x.py}}", "perf_tests.seeded.abcdef1: expected a list of texts, got 'x.py'"),
        ("max_rounds: 3", "max_rounds: unknown option; did you mean 'timing.max_rounds'?"),
        ("timimg: {}", "timimg: unknown option; did you mean 'timing'?"),
        (
            "sandbox: {zzz: 1}",
            "sandbox.zzz: unknown option; known here: kind, memory_mb, pids, tmp_mb, output_mb, mounts, gpus, trust",
        ),
    ],
)
def test_wrong_values(write, text, expected):
    found = problems(write(f"repository: {{name: a/b}}\n{text}\n"))
    assert [problem.split(" (put it")[0] for problem in found] == [f"x.yaml:2: {expected}"]


def test_a_missing_repository_and_a_bad_name(write):
    assert problems(write("timing: {}\n")) == ["x.yaml:1: repository: missing; expected a section with options"]
    (problem,) = problems(write("repository: {name: nameonly}\n"))
    assert problem.startswith("x.yaml:1: repository.name: expected text that matches `")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "x.yaml: empty: at least `repository: {name: owner/name}` is needed"),
        (b"# only a comment\n\n", "x.yaml: empty: at least `repository: {name: owner/name}` is needed"),
        (b"- a\n", "x.yaml:1: expected sections such as `repository:`, got [\"a\"]"),
        (b"hello\n", "x.yaml:1: expected sections such as `repository:`, got 'hello'"),
        (b"a: 1\n\tb: 2\n", "x.yaml:2: a tab where YAML wants spaces: indent with spaces"),
        (b"a:\n  b: 1\n  b: 2\n", "x.yaml:3: 'b' stands here twice: first on line 2"),
        (b"a: [1\n", f"x.yaml:2: {UNCLOSED}"),
        (b"a: 1\n---\nb: 1\n", "x.yaml:2: several documents in one file; one is expected"),
        (b"a: &x [*x]\n", "x.yaml:1: an alias that contains itself"),
        (b"? [a, b]\n: 1\n", "x.yaml:1: a key must be a name"),
        (b"a: !!python/name:os.system\n", "x.yaml:1: unknown tag tag:yaml.org,2002:python/name:os.system"),
        (b"a: !!int x\n", "x.yaml:1: 'x' is not of the tag's type int"),
        (b"a: 1\nb: \xff\xfe\n", "x.yaml:2: not UTF-8: save the file as UTF-8"),
        (b"a: 1\nb: \x07\n", "x.yaml:2: holds a control character (code 7)"),
    ],
)  # fmt: skip
def test_files_that_are_no_configuration(write, text, expected):
    assert problems(write(text)) == [expected]


def test_paths_that_cannot_be_read(tmp_path):
    assert problems(tmp_path / "none.yaml") == ["none.yaml: no such file"]
    (tmp_path / "folder").mkdir()
    assert problems(tmp_path / "folder") == ["folder: a folder, not a YAML file"]


def test_aliases_that_explode_are_refused(write):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    (problem,) = problems(write("\n".join(lines)))
    assert problem.endswith("more than 100000 values")


def test_deep_nesting_is_refused(write):
    (problem,) = problems(write("a: " + "[" * 5000 + "]" * 5000))
    assert "nested too deeply" in problem


def test_a_byte_order_mark_is_fine(write):
    assert load_config(write(b"\xef\xbb\xbfrepository: {name: a/b}\n")).repository.name == "a/b"


def test_overrides_replace_values_and_make_sections(write):
    path = write("repository: {name: a/b}\nmining: {keywords: [x], max_files: 3}\n")
    config = load_config(
        path,
        ["mining.keywords=[fast, 'quick one']", "mining.max_files=7", "llm.model=openai/gpt-5", "store=s3://bucket/x"],
    )
    assert config.mining.keywords == ["fast", "quick one"]
    assert config.mining.max_files == 7
    assert config.llm is not None
    assert config.llm.model == "openai/gpt-5"
    assert config.store == "s3://bucket/x"
    assert load_config(path, ["mining.max_files=7", "mining.max_files=9"]).mining.max_files == 9
    assert load_config(path, ["mining="]).mining.max_files == 25


def test_an_override_repairs_what_the_file_gets_wrong(write):
    assert load_config(write("repository: {name: a/b}\nmining: {max_files: many}\n"), ["mining.max_files=2"])


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("minign.max_files=3", "minign: unknown option; did you mean 'mining'?"),
        ("mining.max_fles=3", "mining.max_fles: unknown option; did you mean 'max_files'?"),
        ("mining.max_files=x", "mining.max_files: expected an integer greater than 0, got 'x'"),
        ("mining.keywords.0=x", 'mining.keywords: expected a list of texts, got {"0": "x"}'),
        ("mining.max_files", "expected `section.option=value`"),
        ("=3", "expected `section.option=value`"),
        ("mining..x=3", "expected `section.option=value`"),
        ("mining.keywords=[a", f"{UNCLOSED}; quote the value as YAML wants it"),
    ],
)  # fmt: skip
def test_wrong_overrides_are_named(write, override, expected):
    path = write("repository: {name: a/b}\nmining: {max_files: 3}\n")
    assert problems(path, override) == [f"--set {override}: {expected}"]


def test_paths_are_relative_to_the_file_and_overrides_to_the_working_directory(write, tmp_path, monkeypatch):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "fast.py").write_text("")
    path = write("repository: {name: a/b, url: ../clone}\nperf_tests: {seeded: {1234567: [tests/fast.py]}}\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    config = load_config(path)
    assert config.repository.url == str(tmp_path.parent / "clone")
    assert config.perf_tests.seeded == {"1234567": [str(tmp_path / "tests" / "fast.py")]}
    assert load_config(path, ["repository.url=./clone"]).repository.url == str(elsewhere / "clone")


@pytest.mark.parametrize("url", ["https://example.org/a/b.git", "ssh://git@example.org/a", "git@example.org:a/b.git"])
def test_addresses_are_left_alone(write, url):
    assert load_config(write(f'repository: {{name: a/b, url: "{url}"}}\n')).repository.url == url


def test_seeded_scripts_must_exist_under_a_commit(write):
    path = write("repository: {name: a/b}\nperf_tests:\n  seeded:\n    main: [a.py]\n    abcdef1:\n      - b.py\n")
    found = problems(path)
    assert found[0] == "x.yaml:4: perf_tests.seeded.main: expected a commit of 7 to 40 hex digits"
    assert [line.split(": no such file")[0] for line in found[1:]] == [
        "x.yaml:4: perf_tests.seeded.main[0]",
        "x.yaml:6: perf_tests.seeded.abcdef1[0]",
    ]


@pytest.mark.parametrize("url", ["https://user:hunter2@example.org/a", "https://hunter2@example.org/a"])
def test_a_secret_in_an_address_is_refused_and_not_repeated(write, url):
    path = write(f"repository: {{name: a/b, url: '{url}'}}\n")
    (in_file,) = problems(path)
    (in_override,) = problems(write("repository: {name: a/b}\n"), f"repository.url={url}")
    for problem in (in_file, in_override):
        assert "holds a password or token; these belong in .env" in problem
        assert "hunter2" not in problem
