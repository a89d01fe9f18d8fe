"""Which features stand on others."""

from __future__ import annotations

from collections.abc import Mapping

from forebay.protocol.canonical.features import Feature

_OF_REASONING = (Feature.REASONING,)
_OF_TOOLS = (Feature.TOOLS,)
_OF_TALKS = (Feature.CHAT, Feature.CONVERSATION)
_OF_PROMPTS = (Feature.PROMPT,)

NEEDED: Mapping[Feature, tuple[Feature, ...]] = {
    Feature.TEMPERATURE_WITH_THINKING: _OF_REASONING,
    Feature.TOP_P_WITH_THINKING: _OF_REASONING,
    Feature.TOP_K_WITH_THINKING: (Feature.TOP_K, *_OF_REASONING),
    Feature.TOP_LOGPROBS: (Feature.LOGPROBS,),
    Feature.BLANK_STOP: (Feature.STOP,),
    Feature.MANY_STOPS: (Feature.STOP,),
    Feature.SCHEMA_STRICT: (Feature.JSON_SCHEMA,),
    Feature.SCHEMA_NAME: (Feature.JSON_SCHEMA,),
    Feature.EFFORT: _OF_REASONING,
    Feature.UNCOMMON_EFFORT: _OF_REASONING,
    Feature.BUDGET: _OF_REASONING,
    Feature.OPEN_REASONING: _OF_REASONING,
    Feature.ADAPTIVE_REASONING: (Feature.OPEN_REASONING, *_OF_REASONING),
    Feature.FORCED_TOOLS: _OF_TOOLS,
    Feature.FORCED_TOOLS_WITH_THINKING: (Feature.FORCED_TOOLS, *_OF_TOOLS, *_OF_REASONING),
    Feature.ONE_CALL: _OF_TOOLS,
    Feature.STRICT_TOOLS: _OF_TOOLS,
    Feature.FREE_TOOL_NAMES: _OF_TOOLS,
    Feature.TOOL_ERRORS: _OF_TOOLS,
    Feature.TOOL_IMAGES: (*_OF_TOOLS, Feature.IMAGES),
    Feature.LATER_INSTRUCTIONS: (Feature.INSTRUCTIONS, *_OF_TALKS),
    Feature.DEVELOPER: (Feature.INSTRUCTIONS,),
    Feature.PAST_REASONING: _OF_TALKS,
    Feature.SIGNATURES: _OF_TALKS,
    Feature.PAST_REFUSALS: _OF_TALKS,
    Feature.LONG_USER_ID: (Feature.USER_ID,),
    Feature.PERSONAL_USER_ID: (Feature.USER_ID,),
    Feature.IMAGE_LINKS: (Feature.IMAGES,),
    Feature.PLAIN_IMAGE_LINKS: (Feature.IMAGES, Feature.IMAGE_LINKS),
    Feature.PLAIN_DOCUMENT_LINKS: (Feature.DOCUMENT_LINKS,),
    Feature.IMAGE_FILES: (Feature.IMAGES,),
    Feature.IMAGE_DETAIL: (Feature.IMAGES,),
    Feature.UNCOMMON_IMAGES: (Feature.IMAGES,),
    Feature.CITATIONS: (Feature.DOCUMENTS,),
    Feature.SUFFIX: _OF_PROMPTS,
    Feature.RAW_PROMPT: _OF_PROMPTS,
    Feature.TEMPLATE: _OF_PROMPTS,
    Feature.CONTEXT: _OF_PROMPTS,
    Feature.SEVERAL_PROMPTS: _OF_PROMPTS,
    Feature.SEVERAL_COMPLETIONS: _OF_PROMPTS,
    Feature.TOKEN_PROMPT: _OF_PROMPTS,
    Feature.ECHO: _OF_PROMPTS,
    Feature.BEST_OF: _OF_PROMPTS,
    Feature.PROMPT_LOGPROBS: _OF_PROMPTS,
}
"""What an API must be able to say for that a feature can be said in it."""
