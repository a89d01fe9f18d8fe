"""A request goes through the canonical form and comes out as it was, whatever of its API it says:
each field that the API's reference lists, one by one."""

from __future__ import annotations

import pytest
from listed_fields import LISTED, PLAIN, SAID_OTHERWISE

from forebay.protocol.dialects.base import Api, UpstreamTraits
from forebay.protocol.dialects.registry import CODECS
from forebay.protocol.jsontext import JsonObject, JsonValue, dumps, loads_object

TRAITS = UpstreamTraits(developer_role=True)


def in_blocks(value: JsonValue) -> JsonValue:
    """With every text in the form of a list of one block: the two mean the same."""
    if isinstance(value, list):
        return [in_blocks(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: (
            [{"type": "text", "text": inner}]
            if name in ("content", "system") and isinstance(inner, str)
            else in_blocks(inner)
        )
        for name, inner in value.items()
    }


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        pytest.param(api, fields, id=f"{api}: {dumps(fields).decode()[:80]}")
        for api, listed in LISTED.items()
        for fields in listed
    ],
)
def test_a_field_that_an_api_lists_comes_through(api: Api, fields: JsonObject) -> None:
    codec = CODECS[api]
    body: JsonObject = {**PLAIN[api], **fields}
    request = codec.decode_request(body)
    encoded = codec.encode_request(request, TRAITS)
    assert encoded.dropped == ()
    assert codec.decode_request(loads_object(dumps(encoded.body))) == request
    sent: JsonObject = {name: encoded.body.get(name) for name in fields}
    assert in_blocks(sent) == in_blocks(fields)


@pytest.mark.parametrize(("api", "fields", "passed_on"), SAID_OTHERWISE)
def test_what_has_a_newer_or_plainer_form_is_passed_on_in_that(
    api: Api, fields: JsonObject, passed_on: JsonObject
) -> None:
    codec = CODECS[api]
    encoded = codec.encode_request(codec.decode_request({**PLAIN[api], **fields}), TRAITS)
    meant = codec.encode_request(codec.decode_request({**PLAIN[api], **passed_on}), TRAITS)
    assert encoded == meant
    assert passed_on.items() <= encoded.body.items()


def test_all_apis_have_a_list() -> None:
    assert set(LISTED) == set(PLAIN) == set(CODECS)
