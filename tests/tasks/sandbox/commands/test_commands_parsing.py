"""Parsers of benchmark output, on text that the real programs printed (sources in the files), and on broken text."""

from pathlib import Path

import pytest

from tasks.sandbox.commands.metrics import DEFAULTS, better
from tasks.sandbox.commands.parsing import OutputError, parse_output

NOISE = "INFO 08-28 22:41:28 [__init__.py:241] Automatically detected platform cuda.\nStarting initial test run...\n"


def output(name: str) -> str:
    source, text = (Path(__file__).parent / "outputs" / f"{name}.txt").read_text().split("\n", 1)
    assert source.startswith("# source: ")
    return text


def parsed(parser, name: str, before: str = NOISE) -> dict[str, float]:
    return parse_output(parser, before + output(name), DEFAULTS[parser], {})


def test_vllm_bench_serve():
    found = parsed("vllm-serve", "vllm_bench_serve")
    assert found == {
        "completed": 16, "failed": 0, "duration_s": 20.87, "input_tokens": 16368, "output_tokens": 5600,
        "request_throughput": 0.77, "output_throughput": 268.31, "peak_output_throughput": 352,
        "total_throughput": 1052.55, "mean_ttft_ms": 2633.55, "median_ttft_ms": 2648.65, "p99_ttft_ms": 4610.48,
        "mean_tpot_ms": 51.78, "median_tpot_ms": 51.75, "p99_tpot_ms": 57.57, "mean_itl_ms": 51.78,
        "median_itl_ms": 46.55, "p99_itl_ms": 258.31,
    }  # fmt: skip


def test_further_percentiles_and_latency_from_end_to_end():
    found = parsed("vllm-serve", "vllm_bench_serve_e2el")
    assert (found["p90_ttft_ms"], found["p95_itl_ms"], found["mean_e2el_ms"]) == (803.44, 317.42, 582602.37)


def test_the_earlier_script_of_vllm():
    found = parsed("vllm-serve", "vllm_benchmark_serving")
    assert (found["completed"], found["total_throughput"], found["p99_itl_ms"]) == (772, 925.72, 340.52)


def test_sglang():
    found = parsed("sglang-serve", "sglang_bench_serving")
    assert found["completed"] == 1536
    assert found["input_throughput"] == 351.41
    assert found["output_tokens"] == 6434886  # not the retokenised count
    assert (found["median_e2el_ms"], found["p99_e2el_ms"]) == (587101.46, 1174895.74)
    assert (found["p95_itl_ms"], found["max_itl_ms"]) == (195.57, 532007.30)


def test_latency_and_throughput_of_vllm():
    assert parsed("vllm-latency", "vllm_bench_latency") == pytest.approx(
        {
            "avg_latency_s": 1.475279240796808, "p10_latency_s": 1.4704144389019347,
            "p25_latency_s": 1.4711670397227863, "p50_latency_s": 1.4726597834960558,
            "p75_latency_s": 1.4755478004954057, "p90_latency_s": 1.4805126614111943,
            "p99_latency_s": 1.5062954947334948,
        }
    )  # fmt: skip
    assert parsed("vllm-throughput", "vllm_bench_throughput") == {
        "request_throughput": 34.14, "total_throughput": 17466.30, "output_throughput": 8739.16,
    }  # fmt: skip
    assert parsed("vllm-throughput", "vllm_benchmark_throughput") == {
        "request_throughput": 81.74, "total_throughput": 20926.37,
    }  # fmt: skip


def test_every_metric_that_is_printed_points_one_way_or_says_how_much_was_done():
    for parser, name in (
        ("vllm-serve", "vllm_bench_serve_e2el"), ("sglang-serve", "sglang_bench_serving"),
        ("vllm-latency", "vllm_bench_latency"), ("vllm-throughput", "vllm_bench_throughput"),
    ):  # fmt: skip
        for metric in parsed(parser, name):
            way = better(metric, {})
            if metric in ("completed", "failed", "input_tokens", "output_tokens"):
                assert way is None
            else:
                assert way == ("higher" if "throughput" in metric else "lower"), metric


def test_the_last_object_of_numbers():
    text = 'warming up\n{"qps": 1}\n{"qps": 120.5, "p50_ms": 3, "name": "x", "ok": true}\nbye\n'
    assert parse_output("json", text, ["qps"], {"qps": "higher"}) == {"qps": 120.5, "p50_ms": 3.0}


GOOD = output("vllm_bench_serve")


@pytest.mark.parametrize(
    ("parser", "text", "message"),
    [
        ("vllm-serve", "", "printed nothing"),
        ("vllm-serve", " \n", "printed nothing"),
        ("vllm-serve", NOISE + "Traceback\nKeyError: 'x'\n", "no 'Serving Benchmark Result'.*KeyError"),
        ("sglang-serve", output("sglang_cut_off"), "cut off after.*Max ITL"),
        ("vllm-serve", GOOD + GOOD, "2 results"),
        (
            "vllm-serve",
            GOOD.replace("Successful requests:                     16", "Successful requests: 0"),
            "no request",
        ),
        ("vllm-serve", GOOD.replace("268.31", "nan"), "no output_throughput in the output; it has completed"),
        ("vllm-serve", GOOD.replace("268.31", "[result]"), "no output_throughput"),
        ("vllm-serve", GOOD.replace("268.31", "0.00"), r"no output_throughput in the output \(zero or negative\)"),
        ("vllm-latency", "Avg latency: fast seconds\n", "no avg_latency_s"),
        ("vllm-latency", "10% percentile latency: 1.0 seconds\n", "0 lines 'Avg latency"),
        ("vllm-throughput", "Throughput: 34.14 requests/s, 17", "0 lines 'Throughput"),
        ("json", "nothing here\n", "no line with a JSON object"),
        ("json", '{"qps": 1', "not JSON"),
    ],
)
def test_what_is_wrong_with_an_output_is_said(parser, text, message):
    with pytest.raises(OutputError, match=message):
        parse_output(parser, text, DEFAULTS[parser] or ["qps"], {"qps": "higher"})


def test_a_metric_without_a_direction_cannot_decide():
    with pytest.raises(OutputError, match="higher or lower is better is not known of p50_ms"):
        parse_output("json", '{"qps": 1, "p50_ms": 2}', ["p50_ms"], {"qps": "higher"})
    with pytest.raises(OutputError, match="how much was done"):
        parse_output("vllm-serve", GOOD, ["completed"], {})
