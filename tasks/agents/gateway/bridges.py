"""Chats for litellm, and back: it asks all of its providers by chat completions, and has adapters for other shapes.

Its functions that take other shapes themselves would do the same, but import parts of litellm's proxy, which need
packages that litellm does not depend on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from tasks.agents.gateway.counting import Count
from tasks.agents.gateway.protocols import Shape


class Tap:
    """A chat's stream as litellm gives it, counted on its way into an adapter."""

    def __init__(self, given: AsyncIterator[Any], count: Count) -> None:
        self._given, self._count = given, count
        self._first: list[Any] = []

    async def begin(self) -> None:
        """Wait for the first piece: litellm asks its provider no earlier, and says what went wrong then."""
        self._first = [piece async for piece in _at_most(1, self._given)]

    def __aiter__(self) -> Tap:
        return self

    async def __anext__(self) -> Any:
        piece = self._first.pop() if self._first else await anext(self._given)
        self._count.event(piece.model_dump())
        return piece

    def __getattr__(self, name: str) -> Any:
        return getattr(self._given, name)


async def _at_most(number: int, given: AsyncIterator[Any]) -> AsyncIterator[Any]:
    for _ in range(number):
        try:
            yield await anext(given)
        except StopAsyncIteration:
            return


@dataclass(frozen=True)
class Asked:
    """A request in its own shape, for a model of one of litellm's providers."""

    model: str
    """litellm's name of it: `<provider>/<name>`."""
    body: dict[str, Any]
    streams: bool

    @property
    def provider(self) -> str:
        """litellm's name of the provider."""
        return self.model.partition("/")[0]


class Bridge(Protocol):
    """How a shape becomes a chat, and how a chat's answer becomes one of that shape."""

    def chat(self, asked: Asked) -> dict[str, Any]:
        """What `acompletion` is given."""

    def answer(self, asked: Asked, given: Any) -> Any:
        """Of a whole answer."""

    def events(self, asked: Asked, given: Tap) -> Any:
        """Of a stream: an iterator of bytes or of litellm's models."""


class Chat:
    """Nothing is to be done."""

    def chat(self, asked: Asked) -> dict[str, Any]:
        """See `Bridge`."""
        return asked.body

    def answer(self, asked: Asked, given: Any) -> Any:
        """See `Bridge`."""
        return given

    def events(self, asked: Asked, given: Tap) -> Any:
        """See `Bridge`."""
        return given


class Messages:
    """Anthropic's."""

    def __init__(self) -> None:
        from litellm.llms.anthropic.pass_through.adapters.handler import ANTHROPIC_ADAPTER

        self._adapter = ANTHROPIC_ADAPTER
        self._names: dict[str, str] = {}

    def chat(self, asked: Asked) -> dict[str, Any]:
        """See `Bridge`. Names of tools that are too long for others are cut."""
        found, self._names = self._adapter.translate_completion_input_params_with_tool_mapping(
            {"model": asked.model, **asked.body}, custom_llm_provider=asked.provider
        )
        return {**found} if found else {}

    def answer(self, asked: Asked, given: Any) -> Any:
        """See `Bridge`."""
        return self._adapter.translate_completion_output_params(given, tool_name_mapping=self._names)

    def events(self, asked: Asked, given: Tap) -> Any:
        """See `Bridge`."""
        name = asked.model.partition("/")[2]
        return self._adapter.translate_completion_output_params_streaming(
            given, model=name, tool_name_mapping=self._names
        )


class Responses:
    """OpenAI's other one."""

    def chat(self, asked: Asked) -> dict[str, Any]:
        """See `Bridge`."""
        from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

        return dict(
            LiteLLMCompletionResponsesConfig.transform_responses_api_request_to_chat_completion_request(
                model=asked.model, input=asked.body["input"], responses_api_request=_optional(asked),
                custom_llm_provider=asked.provider, stream=asked.streams,
            )
        )  # fmt: skip

    def answer(self, asked: Asked, given: Any) -> Any:
        """See `Bridge`."""
        from litellm.responses.litellm_completion_transformation.transformation import LiteLLMCompletionResponsesConfig

        return LiteLLMCompletionResponsesConfig.transform_chat_completion_response_to_responses_api_response(
            chat_completion_response=given, request_input=asked.body["input"], responses_api_request=_optional(asked)
        )

    def events(self, asked: Asked, given: Tap) -> Any:
        """See `Bridge`."""
        from litellm.responses.litellm_completion_transformation.streaming_iterator import (
            LiteLLMCompletionStreamingIterator,
        )

        stream: Any = given
        return LiteLLMCompletionStreamingIterator(
            model=asked.model, litellm_custom_stream_wrapper=stream, request_input=asked.body["input"],
            responses_api_request=_optional(asked), custom_llm_provider=asked.provider, litellm_metadata={},
        )  # fmt: skip


def _optional(asked: Asked) -> Any:
    return {name: value for name, value in asked.body.items() if name not in ("input", "stream")}


class Gemini:
    """Google's."""

    def __init__(self) -> None:
        from litellm.google_genai.adapters.handler import GOOGLE_GENAI_ADAPTER

        self._adapter = GOOGLE_GENAI_ADAPTER

    def chat(self, asked: Asked) -> dict[str, Any]:
        """See `Bridge`."""
        body = asked.body
        beside = {name: body[name] for name in ("tools", "toolConfig", "systemInstruction") if name in body}
        return dict(
            self._adapter.translate_generate_content_to_completion(
                model=asked.model, contents=body["contents"], config=body.get("generationConfig"), **beside
            )
        )

    def answer(self, asked: Asked, given: Any) -> Any:
        """See `Bridge`."""
        return self._adapter.translate_completion_to_generate_content(given)

    def events(self, asked: Asked, given: Tap) -> Any:
        """See `Bridge`."""
        return self._adapter.translate_completion_output_params_streaming(given)


BRIDGES: dict[Shape, type[Bridge]] = {"messages": Messages, "chat": Chat, "responses": Responses, "gemini": Gemini}
