"""Every known trap of the field has a test: where each one is.

The numbers are those of the project's list of traps; a letter and a number count the unnumbered
ones. A trap's test says its number in its name or its docstring, or beside the case that shows it.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

NUMBERS = range(1, 123)
UNNUMBERED = [f"Z{number}" for number in range(1, 16)]

TRAPS: dict[str, tuple[str, ...]] = {
    # the header decides the shape of the list of models
    "1": (
        "gateway/test_targets.py::test_trap_1_and_5_models_are_listed_and_found_in_both_shapes",
        "protocol/anthropic/test_anthropic_model_lists.py::test_a_list_in_anthropics_shape_trap_1",
    ),
    # both generations of Anthropic's clients get in
    "2": (
        "robustness/test_forwarded_headers.py::test_trap_2_either_generation_of_anthropic_clients_is_served_over_any_provider",
        "sdk/test_sdk_keys.py::test_a_right_key_is_taken_as_each_sdk_sends_it",
    ),
    # a bad key is told in the dialect
    "3": (
        "robustness/test_malformed_requests.py::test_trap_3_a_bad_key_is_a_401_in_the_dialect",
        "protocol/anthropic/test_anthropic_errors.py::test_every_kind_has_its_status_and_type_trap_3",
    ),
    # who the client is stays here
    "4": (
        "robustness/test_forwarded_headers.py::test_trap_4_nothing_of_the_client_leaves_the_gateway",
        "sdk/test_sdk_keys.py::test_nothing_that_says_who_the_client_is_leaves_the_gateway",
    ),
    # model ids with slashes and colons
    "5": (
        "gateway/test_targets.py::test_trap_1_and_5_models_are_listed_and_found_in_both_shapes",
        "robustness/test_malformed_requests.py::test_trap_5_model_ids_with_slashes_and_colons_are_found_either_way",
    ),
    # a query leads nowhere else
    "6": (
        "gateway/test_forwarded_query.py::test_trap_6_the_query_goes_along_to_anthropic",
        "sdk/test_sdk_traps.py::test_beta_calls_of_the_anthropic_sdk_are_served",
    ),
    # what a new version refuses is not masked
    "7": (
        "robustness/test_forwarded_headers.py::test_trap_7_what_a_new_version_refuses_is_not_masked",
        "protocol/providers/test_model_knowledge.py::test_trap_7_what_a_client_of_anthropics_says_is_the_upstreams_to_refuse",
    ),
    # no sampling for models that refuse it
    "8": (
        "gateway/test_provider_quirks.py::test_trap_8_an_openai_clients_temperature_breaks_no_newer_claude",
        "protocol/providers/test_model_knowledge.py::test_trap_8_no_sampling_goes_to_models_that_refuse_it",
    ),
    # beta headers go to Anthropic only
    "9": (
        "robustness/test_forwarded_headers.py::test_trap_9_beta_headers_pass_to_anthropic_and_to_nobody_else",
        "sdk/test_sdk_traps.py::test_beta_calls_of_the_anthropic_sdk_are_served",
    ),
    # odd timeout headers
    "10": ("sdk/test_sdk_traps.py::test_odd_headers_of_clients_do_no_harm",),
    # a dead key of the gateway is not the client's
    "11": ("sdk/test_sdk_keys.py::test_a_dead_key_of_the_gateway_is_never_blamed_on_the_client",),
    # Anthropic's limit is filled in
    "12": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_max_tokens_are_filled_in_trap_12",
        "protocol/providers/test_model_knowledge.py::test_trap_12_a_models_name_tells_what_it_takes_and_how_much_it_may_say",
    ),
    # budgets below the limit
    "13": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_a_budget_stays_below_max_tokens_trap_13",
        "protocol/providers/test_model_knowledge.py::test_trap_13_a_budget_made_of_an_effort_stays_below_the_limit_too",
    ),
    # adjacent turns become one
    "14": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_adjacent_turns_of_a_role_become_one_trap_14",
    ),
    # a user begins
    "15": ("protocol/anthropic/test_anthropic_conversations_out.py::test_a_user_begins_trap_15",),
    # no blank texts
    "16": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_blank_texts_are_left_out_trap_16",
    ),
    # a later system turn stays where it is
    "17": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_a_later_system_turn_stays_at_its_place_trap_17",
    ),
    # developer becomes system
    "18": (
        "protocol/openai/test_openai_messages_out.py::test_developer_is_said_only_to_servers_that_know_it_trap_18",
        "sdk/test_sdk_traps.py::test_a_developer_message_alone_is_served",
    ),
    # results first, in the order of the calls
    "19": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_results_come_first_in_the_order_of_the_calls_trap_19",
        "protocol/openai/test_openai_messages_out.py::test_calls_come_with_their_results_right_after_them_and_text_last_trap_19",
        "node/test_node_sdks.py::test_a_tool_loop_of_every_node_sdk_goes_round",
    ),
    # a missing result is made up
    "20": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_a_missing_result_is_made_up_as_an_error_trap_20",
    ),
    # a result without its call becomes text
    "21": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_a_result_without_its_call_becomes_text_trap_21",
    ),
    # ids of calls fit Anthropic
    "22": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_ids_are_made_to_fit_alike_for_call_and_result_trap_22",
        "protocol/openai/test_tool_ids.py::test_an_id_that_does_not_suit_gets_a_stand_in_that_does_trap_22",
    ),
    # long ids fit and stay apart
    "23": (
        "protocol/openai/test_openai_messages_out.py::test_ids_are_made_to_fit_alike_for_a_call_and_its_result_trap_23",
        "protocol/openai/test_tool_ids.py::test_long_ids_with_a_common_prefix_stay_apart_trap_23",
        "protocol/responses/test_responses_requests_out.py::test_long_call_ids_fit_and_stay_apart_trap_23",
    ),
    # calls and results without ids find each other
    "24": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_missing_ids_are_made_up_and_paired_trap_24",
        "protocol/ollama/test_ollama_requests_in.py::test_trap_24_results_find_their_calls_by_name_and_order",
    ),
    # empty arguments are an empty object
    "25": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_arguments_become_an_object_traps_25_and_26",
        "protocol/ollama/test_ollama_requests_out.py::test_trap_25_and_26_arguments_go_as_an_object_whatever_they_are",
    ),
    # broken arguments crash nothing
    "26": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_arguments_become_an_object_traps_25_and_26",
        "protocol/ollama/test_ollama_requests_out.py::test_trap_25_and_26_arguments_go_as_an_object_whatever_they_are",
    ),
    # arguments of Ollama's become text
    "27": (
        "protocol/ollama/test_ollama_requests_in.py::test_trap_27_arguments_of_a_call_become_text",
        "sdk/test_sdk_answers.py::test_a_tool_loop_goes_round",
    ),
    # arguments for Ollama become an object
    "28": (
        "protocol/ollama/test_ollama_answers_out.py::test_trap_28_arguments_are_an_object_also_where_the_model_wrote_nonsense",
        "sdk/test_sdk_answers.py::test_an_answer_comes_through_as_the_upstream_gives_it",
        "node/test_node_sdks.py::test_an_answer_comes_through_to_every_node_sdk",
    ),
    # images of results follow in a user's turn
    "29": (
        "protocol/openai/test_openai_messages_out.py::test_images_of_results_follow_in_a_user_message_after_all_results_trap_29",
    ),
    # a failed result says so
    "30": (
        "protocol/openai/test_openai_messages_out.py::test_a_failed_result_says_so_in_its_text_trap_30",
    ),
    # forced tools yield to thinking
    "31": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_forced_tools_yield_to_thinking_trap_31",
        "protocol/providers/test_model_knowledge.py::test_trap_31_only_a_model_that_will_think_leaves_the_choice_open",
    ),
    # a choice of none keeps the tools
    "32": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_tool_choice_none_keeps_the_tools_trap_32",
    ),
    # one call at a time
    "33": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_serial_calls_without_a_choice_trap_33",
    ),
    # functions are not strict unasked
    "34": (
        "protocol/responses/test_responses_requests_out.py::test_functions_of_other_dialects_are_not_strict_trap_34",
    ),
    # schemas for the answer, in each dialect
    "35": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_a_schema_for_the_answer_trap_35",
        "protocol/ollama/test_ollama_requests_out.py::test_trap_35_a_schema_goes_bare",
        "protocol/responses/test_responses_requests_out.py::test_a_schema_is_flattened_trap_35",
        "node/test_node_sdks.py::test_an_answer_comes_through_to_every_node_sdk",
    ),
    # several answers, or a refusal
    "36": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_several_choices_are_refused_trap_36",
        "protocol/ollama/test_ollama_requests_out.py::test_trap_36_more_than_one_answer_is_refused_by_name",
    ),
    # probabilities, or a refusal
    "37": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_log_probabilities_are_refused_trap_37",
        "protocol/openai/test_openai_completions_requests.py::test_what_takes_a_server_of_the_api_is_refused_elsewhere_by_name",
        "gateway/test_trap_clauses.py::test_trap_37_probabilities_that_anthropic_never_tells_are_refused_by_name",
    ),
    # what only tunes is dropped by name
    "38": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_what_only_tunes_is_dropped_and_reported_trap_38",
    ),
    # too many stop strings, and blank ones
    "39": (
        "gateway/test_provider_quirks.py::test_trap_39_five_stop_strings_are_refused_before_openai_does",
        "protocol/anthropic/test_anthropic_requests_out.py::test_blank_stop_strings_are_left_out_trap_39",
    ),
    # linked images for Ollama
    "40": (
        "protocol/ollama/test_ollama_requests_out.py::test_trap_40_a_linked_image_is_refused_with_the_mend",
        "gateway/test_linked_images.py::test_a_linked_image_reaches_ollama_inline",
    ),
    # an image is what its bytes are
    "41": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_the_bytes_decide_the_type_of_an_image_trap_41",
        "protocol/test_media_types.py::test_trap_41_an_image_is_sent_on_as_what_it_is",
    ),
    # keep_alive in all forms
    "42": (
        "protocol/ollama/test_ollama_embeddings.py::test_traps_42_and_43_what_asks_for_nothing_only_loads",
        "protocol/ollama/test_ollama_requests_in.py::test_trap_42_keep_alive_is_taken_in_all_its_forms",
        "gateway/test_trap_clauses.py::test_trap_42_how_long_to_keep_a_model_is_said_to_ollama_only",
        "sdk/test_sdk_generate.py::test_a_request_without_a_prompt_only_loads",
    ),
    # an empty prompt loads
    "43": (
        "protocol/ollama/test_ollama_answers_out.py::test_trap_43_a_load_is_answered_by_one_finished_object",
        "protocol/ollama/test_ollama_embeddings.py::test_traps_42_and_43_what_asks_for_nothing_only_loads",
    ),
    # who streams by default
    "44": (
        "protocol/ollama/test_ollama_requests_in.py::test_trap_44_what_does_not_say_stream_streams",
        "protocol/ollama/test_ollama_requests_out.py::test_trap_44_stream_is_always_said",
        "gateway/test_trap_clauses.py::test_trap_44_whoever_asks_another_api_than_ollamas_is_answered_whole",
    ),
    # a model that can't think
    "45": (
        "gateway/test_provider_quirks.py::test_trap_45_a_model_that_does_not_think_says_so",
        "protocol/ollama/test_ollama_requests_in.py::test_trap_45_think_is_nothing_else",
        "gateway/test_trap_clauses.py::test_trap_45_another_word_for_thinking_is_a_400_of_ollamas",
    ),
    # an unknown earlier response
    "46": (
        "sdk/test_sdk_responses_kept.py::test_an_unknown_response_is_never_a_fresh_conversation_trap_46",
        "protocol/responses/test_responses_requests_out.py::test_what_only_a_keeping_server_can_serve_is_refused_trap_46",
    ),
    # items without a type
    "47": (
        "protocol/responses/test_responses_requests_in.py::test_items_without_a_type_are_messages_trap_47",
    ),
    # an image's link as text
    "48": (
        "protocol/responses/test_responses_requests_out.py::test_an_images_link_becomes_an_object_for_chat_trap_48",
    ),
    # no temperature of zero for Z.ai
    "49": (
        "gateway/test_provider_quirks.py::test_trap_49_a_temperature_of_zero_reaches_zai_otherwise",
        "protocol/providers/test_zai.py::test_trap_49_a_temperature_of_zero_is_said_otherwise",
    ),
    # reasoning models of OpenAI
    "50": (
        "gateway/test_provider_quirks.py::test_trap_50_a_limit_and_a_temperature_break_no_reasoning_model_of_openai",
        "protocol/openai/test_openai_requests_out.py::test_the_limit_goes_by_the_name_that_the_server_reads_trap_50",
    ),
    # fields that OpenAI does not know
    "51": (
        "gateway/test_provider_quirks.py::test_trap_51_unknown_fields_are_relayed_where_they_may_be_known",
        "protocol/openai/test_openai_requests_out.py::test_sampling_that_openai_does_not_know_is_dropped_and_named_trap_51",
    ),
    # thinking goes back byte for byte
    "52": (
        "protocol/anthropic/test_anthropic_request_identity.py::test_replayed_thinking_is_byte_for_byte_the_same_trap_52",
        "protocol/responses/test_responses_reasoning.py::test_signed_blocks_come_back_to_anthropic_as_they_were_traps_52_54_58",
    ),
    # another's thinking is not signed
    "53": (
        "protocol/anthropic/test_anthropic_conversations_out.py::test_only_thinking_that_anthropic_signed_is_sent_back_trap_53",
        "protocol/responses/test_responses_reasoning.py::test_thinking_of_another_provider_is_not_forwarded_to_anthropic_trap_53",
    ),
    # a tool loop without its thinking
    "54": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_a_tool_loop_that_lost_its_thinking_goes_on_without_a_budget_trap_54",
        "protocol/responses/test_responses_conversations.py::test_signed_thinking_is_kept_for_clients_that_never_see_it_trap_54",
    ),
    # thinking comes before the text
    "55": (
        "protocol/anthropic/test_anthropic_stream_encoding.py::test_thinking_comes_before_text_and_ends_with_its_signature_trap_55",
        "protocol/openai/test_openai_streams_in.py::test_reasoning_comes_before_the_text_and_once_traps_55_56",
        "node/test_node_sdks.py::test_an_answer_comes_through_to_every_node_sdk",
    ),
    # reasoning under any name, once
    "56": (
        "protocol/openai/test_openai_answers_in.py::test_reasoning_is_read_once_under_any_name_trap_56",
        "protocol/openai/test_openai_messages_out.py::test_reasoning_goes_back_as_it_came_but_not_to_openai_traps_56_57",
    ),
    # details of reasoning go back whole
    "57": (
        "protocol/openai/test_openai_messages_out.py::test_reasoning_goes_back_as_it_came_but_not_to_openai_traps_56_57",
        "protocol/openai/test_openai_requests_in.py::test_reasoning_details_are_kept_unmodified_trap_57",
    ),
    # the gateway's own token stays here
    "58": (
        "sdk/test_sdk_responses.py::test_the_gateways_own_token_never_goes_upstream_trap_58",
        "protocol/responses/test_responses_reasoning.py::test_signed_blocks_come_back_to_anthropic_as_they_were_traps_52_54_58",
    ),
    # efforts in words that are known
    "59": (
        "protocol/anthropic/test_anthropic_requests_out.py::test_reasoning_trap_59",
        "protocol/openai/test_openai_requests_out.py::test_reasoning_is_said_in_words_that_the_server_knows_trap_59",
    ),
    # cached input is part of the whole
    "60": (
        "protocol/anthropic/test_anthropic_answers.py::test_usage_is_read_traps_60_and_62",
        "protocol/openai/test_openai_answers_in.py::test_usage_is_read_traps_60_61_62",
        "protocol/openai/test_openai_answers_out.py::test_an_answer_has_every_field_that_openai_sends",
    ),
    # and apart where Anthropic's clients read it
    "61": (
        "protocol/anthropic/test_anthropic_answers.py::test_counts_of_another_dialect_trap_61",
        "protocol/openai/test_openai_answers_in.py::test_usage_is_read_traps_60_61_62",
    ),
    # reasoning is counted once
    "62": (
        "protocol/anthropic/test_anthropic_answers.py::test_usage_is_read_traps_60_and_62",
        "protocol/openai/test_openai_answers_in.py::test_usage_is_read_traps_60_61_62",
        "node/test_node_sdks.py::test_an_answer_comes_through_to_every_node_sdk",
    ),
    # counts are never missing
    "63": (
        "protocol/anthropic/test_anthropic_answers.py::test_an_answer_without_content_or_usage_traps_63",
        "protocol/anthropic/test_anthropic_stream_encoding.py::test_no_usage_at_all_is_an_estimate_never_null_trap_63",
    ),
    # counters that are missing are zero
    "64": (
        "protocol/ollama/test_ollama_answers_in.py::test_trap_64_a_counter_that_is_missing_is_zero",
        "protocol/ollama/test_ollama_embeddings.py::test_trap_64_an_answer_without_a_count_has_no_usage",
    ),
    # calls outweigh a plain end
    "65": (
        "protocol/anthropic/test_anthropic_answers.py::test_calls_outweigh_a_plain_end_trap_65",
        "protocol/anthropic/test_anthropic_stream_encoding.py::test_an_end_with_calls_waits_for_their_results_traps_65_and_66",
    ),
    # Ollama's stop with calls
    "66": (
        "protocol/anthropic/test_anthropic_answers.py::test_stop_reasons_are_written_traps_65_and_66",
        "protocol/anthropic/test_anthropic_stream_encoding.py::test_an_end_with_calls_waits_for_their_results_traps_65_and_66",
        "node/test_node_sdks.py::test_an_answer_comes_through_to_every_node_sdk",
    ),
    # a full context is a limit
    "67": (
        "protocol/responses/test_responses_answers_out.py::test_why_an_answer_ended_trap_67",
        "protocol/openai/test_openai_answers_out.py::test_finish_reasons_are_openais_words",
    ),
    # refusals and pauses
    "68": (
        "protocol/openai/test_openai_answers_out.py::test_finish_reasons_are_openais_words",
        "protocol/anthropic/test_anthropic_answers.py::test_stop_reasons_are_read_traps_67_to_69",
        "node/test_node_sdks.py::test_an_answer_comes_through_to_every_node_sdk",
    ),
    # other words for the end
    "69": (
        "protocol/openai/test_openai_streams_in.py::test_fields_that_servers_leave_out_are_not_missed",
        "protocol/anthropic/test_anthropic_answers.py::test_stop_reasons_are_read_traps_67_to_69",
    ),
    # a call that was cut, for Ollama
    "70": (
        "protocol/ollama/test_ollama_answers_out.py::test_trap_70_a_call_that_the_limit_cut_off_is_left_out",
        "sdk/test_sdk_traps.py::test_a_tool_call_that_was_cut_short_is_not_shown_to_ollama_clients",
    ),
    # base64 from floats
    "71": (
        "gateway/test_embeddings_served.py::test_traps_71_and_72_the_encoding_is_the_one_that_was_asked_for",
        "sdk/test_sdk_embeddings.py::test_trap_71_the_client_asks_for_base64_by_itself_and_gets_it",
        "node/test_node_sdk_embeddings.py::test_trap_71_every_node_sdk_gets_the_vectors_of_the_upstream",
    ),
    # floats from base64
    "72": (
        "gateway/test_embeddings_served.py::test_traps_71_and_72_the_encoding_is_the_one_that_was_asked_for",
        "sdk/test_sdk_embeddings.py::test_trap_72_floats_are_floats",
    ),
    # Ollama's card of a model
    "73": (
        "protocol/ollama/test_ollama_models.py::test_trap_73_a_card_has_the_info_that_editors_read",
        "sdk/test_sdk_models.py::test_ollama_lists_shows_and_tells_what_runs",
    ),
    # Ollama's list of models
    "74": (
        "protocol/ollama/test_ollama_models.py::test_trap_74_tags_are_complete_for_the_official_package",
        "sdk/test_sdk_models.py::test_ollama_lists_shows_and_tells_what_runs",
    ),
    # a bare array of models
    "75": (
        "protocol/anthropic/test_anthropic_model_lists.py::test_lists_of_any_shape_are_read_trap_75",
        "protocol/openai/test_openai_models.py::test_listings_are_read_in_every_shape",
    ),
    # an error under status 200
    "76": (
        "protocol/anthropic/test_anthropic_answers.py::test_an_error_with_status_200_is_an_error_trap_76",
        "protocol/ollama/test_ollama_answers_in.py::test_trap_76_a_body_that_is_no_answer_is_a_failure",
    ),
    # the chunk with the usage
    "77": (
        "gateway/test_completions_served.py::test_trap_77_no_usage_chunk_unless_asked",
        "protocol/openai/test_openai_completions_answers.py::test_trap_77_usage_comes_once_and_only_where_it_is_asked_for",
        "node/test_node_sdks.py::test_an_answer_comes_through_to_every_node_sdk",
    ),
    # any split reads the same
    "78": (
        "protocol/anthropic/test_anthropic_stream_decoding.py::test_every_split_of_a_captured_stream_reads_the_same_trap_78",
        "protocol/framing/test_line_framing.py::test_any_split_gives_the_same_lines_trap_78",
    ),
    # Anthropic's frames
    "79": (
        "sdk/test_sdk_answers.py::test_an_answer_comes_through_as_the_upstream_gives_it",
        "node/test_node_sdks.py::test_an_answer_comes_through_to_every_node_sdk",
    ),
    # interleaved calls
    "80": (
        "protocol/anthropic/test_anthropic_stream_encoding.py::test_interleaved_calls_are_shown_one_after_the_other_trap_80",
        "protocol/openai/test_openai_stream_calls.py::test_fragments_of_two_calls_may_interleave_trap_80",
    ),
    # repeated ids and missing indexes
    "81": (
        "protocol/openai/test_openai_stream_calls.py::test_id_and_name_may_be_repeated_in_every_fragment_trap_81",
    ),
    # calls without fragments
    "82": (
        "protocol/anthropic/test_anthropic_stream_decoding.py::test_a_call_without_fragments_has_empty_arguments_trap_82",
        "protocol/openai/test_openai_streams_out.py::test_a_call_without_fragments_has_empty_arguments_trap_82",
        "node/test_node_sdks.py::test_an_answer_comes_through_to_every_node_sdk",
    ),
    # numbers of Responses events
    "83": (
        "protocol/responses/test_responses_streams_out.py::test_an_answer_after_keepalives_goes_on_under_their_id_traps_83_84",
        "sdk/test_sdk_responses.py::test_the_helper_reads_a_stream_trap_83",
    ),
    # one identity for a response
    "84": (
        "gateway/test_responses_held.py::test_a_stream_held_for_twenty_minutes_is_heard_whole_and_kept_traps_84_97",
        "protocol/responses/test_responses_kept_streams.py::test_a_relayed_answer_has_the_id_that_the_client_knows_trap_84",
    ),
    # no second start
    "85": (
        "protocol/anthropic/test_anthropic_stream_decoding.py::test_a_second_start_is_no_new_answer_trap_85",
        "protocol/anthropic/test_anthropic_stream_encoding.py::test_a_second_start_is_not_shown_trap_85",
    ),
    # no end is made up
    "86": (
        "protocol/anthropic/test_anthropic_stream_decoding.py::test_an_end_is_never_made_up_trap_86",
        "protocol/ollama/test_ollama_answers_in.py::test_trap_86_a_stream_that_just_ends_has_failed",
        "node/test_node_sdk_failures.py::test_a_stream_that_breaks_is_an_error_in_every_node_sdk",
    ),
    # errors in a chat stream
    "87": (
        "protocol/openai/test_openai_completions_answers.py::test_trap_87_an_error_ends_a_stream_without_done",
        "protocol/openai/test_openai_sdk_reads_us.py::test_an_error_in_a_stream_is_raised_trap_87",
        "node/test_node_sdk_failures.py::test_a_stream_that_breaks_is_an_error_in_every_node_sdk",
        "node/test_node_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
    ),
    # errors in Anthropic's stream
    "88": (
        "protocol/anthropic/test_anthropic_stream_encoding.py::test_an_error_inside_the_stream_raises_in_the_sdk_trap_88",
        "sdk/test_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
        "node/test_node_sdk_failures.py::test_a_stream_that_breaks_is_an_error_in_every_node_sdk",
        "node/test_node_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
    ),
    # errors in a stream of Responses
    "89": (
        "gateway/test_responses_held.py::test_a_wait_that_ends_in_vain_is_a_failed_response_trap_89",
        "sdk/test_sdk_responses.py::test_a_stream_that_breaks_ends_as_failed_under_its_id_trap_89",
        "node/test_node_sdk_failures.py::test_a_stream_that_breaks_is_an_error_in_every_node_sdk",
        "node/test_node_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
    ),
    # errors in Ollama's stream
    "90": (
        "protocol/ollama/test_ollama_answers_out.py::test_trap_90_the_official_client_raises_on_an_error_in_the_stream",
        "sdk/test_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
        "gateway/test_unreadable_lines.py::test_nothing_from_a_line_that_cant_be_read_on_is_passed_on",
        "node/test_node_sdk_failures.py::test_a_stream_that_breaks_is_an_error_in_every_node_sdk",
        "node/test_node_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
        "node/test_node_sdk_unreadable_lines.py::test_trap_90_an_answer_with_a_line_that_cant_be_read_is_an_error",
    ),
    # streams announce no close
    "91": (
        "sdk/test_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
        "node/test_node_sdk_failures.py::test_a_stream_that_breaks_is_an_error_in_every_node_sdk",
        "node/test_node_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
    ),
    # stop strings that a server leaves in
    "92": (
        "gateway/test_provider_quirks.py::test_trap_92_no_client_sees_the_stop_string_that_openvino_leaves_in",
        "protocol/test_stop_text.py::test_trap_92_the_text_ends_where_its_first_stop_sequence_begins",
    ),
    # comments of upstreams
    "93": (
        "protocol/anthropic/test_anthropic_stream_decoding.py::test_comments_and_unknown_events_are_skipped_trap_93",
        "protocol/framing/test_sse_framing.py::test_comments_and_unknown_fields_are_skipped_trap_93",
    ),
    # a client that leaves
    "94": (
        "gateway/test_holding.py::test_trap_94_a_client_that_leaves_mid_stream_ends_the_upstream_call",
        "robustness/test_disconnected_clients.py::test_trap_94_leaving_in_the_middle_of_a_stream_ends_the_upstream_call_at_once",
    ),
    # whole comments keep alive
    "95": (
        "gateway/test_holding.py::test_traps_95_96_98_a_queued_stream_is_kept_alive_in_its_dialect",
        "protocol/ollama/test_ollama_answers_out.py::test_traps_95_to_98_a_keepalive_is_a_whole_line_that_says_nothing",
        "node/test_node_sdk_holding.py::test_a_held_answer_still_arrives",
    ),
    # pings keep alive
    "96": (
        "gateway/test_holding.py::test_traps_95_96_98_a_queued_stream_is_kept_alive_in_its_dialect",
        "protocol/anthropic/test_anthropic_stream_encoding.py::test_pings_are_borne_anywhere_trap_96",
        "node/test_node_sdk_holding.py::test_a_held_answer_still_arrives",
    ),
    # events keep Codex alive
    "97": (
        "gateway/test_responses_held.py::test_a_stream_held_for_twenty_minutes_is_heard_whole_and_kept_traps_84_97",
        "protocol/ollama/test_ollama_answers_out.py::test_traps_95_to_98_a_keepalive_is_a_whole_line_that_says_nothing",
    ),
    # lines keep Ollama's clients alive
    "98": (
        "gateway/test_holding.py::test_traps_95_96_98_a_queued_stream_is_kept_alive_in_its_dialect",
        "protocol/ollama/test_ollama_answers_out.py::test_traps_95_to_98_a_keepalive_is_a_whole_line_that_says_nothing",
        "node/test_node_sdk_holding.py::test_a_held_answer_still_arrives",
    ),
    # whitespace before Node gives up
    "99": (
        "gateway/test_held_json.py::test_traps_99_104_105_whitespace_is_sent_in_time_as_plain_json",
        "gateway/test_holding.py::test_trap_99_a_whole_answer_stays_silent_unless_asked",
        "node/test_node_sdk_holding.py::test_a_held_answer_still_arrives",
    ),
    # a late failure breaks off
    "100": (
        "gateway/test_holding.py::test_trap_100_a_whole_answer_that_fails_after_the_commit_is_cut",
        "sdk/test_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
        "node/test_node_sdk_holding.py::test_a_held_answer_that_fails_is_an_error_and_never_an_empty_success",
    ),
    # 600 seconds in all
    "101": (
        "gateway/test_repeated_attempts.py::test_traps_101_and_102_a_repeat_after_a_timeout_is_no_second_load",
    ),
    # 300 seconds without a byte
    "102": (
        "gateway/test_repeated_attempts.py::test_traps_101_and_102_a_repeat_after_a_timeout_is_no_second_load",
    ),
    # nothing unasked before the status
    "103": (
        "gateway/test_held_json.py::test_trap_103_nothing_comes_before_the_status_unless_it_was_asked_for",
        "sdk/test_sdk_traps.py::test_odd_headers_of_clients_do_no_harm",
    ),
    # JSON is called JSON
    "104": (
        "gateway/test_held_json.py::test_traps_99_104_105_whitespace_is_sent_in_time_as_plain_json",
        "sdk/test_sdk_holding.py::test_a_held_answer_still_arrives",
        "node/test_node_sdk_holding.py::test_a_held_answer_still_arrives",
    ),
    # nothing is compressed
    "105": (
        "gateway/test_held_json.py::test_traps_99_104_105_whitespace_is_sent_in_time_as_plain_json",
        "sdk/test_sdk_traps.py::test_odd_headers_of_clients_do_no_harm",
    ),
    # durations
    "106": ("protocol/providers/test_waits.py::test_trap_106_durations",),
    # instants
    "107": ("protocol/providers/test_waits.py::test_trap_107_the_same_instant_in_every_notation",),
    # when to come back
    "108": ("protocol/providers/test_waits.py::test_trap_108_headers",),
    # a spent quota
    "109": (
        "protocol/providers/test_classification.py::test_trap_109_a_spent_quota_is_nothing_to_wait_for",
        "sdk/test_sdk_upstream_errors.py::test_spent_credit_of_the_gateway_is_an_outage_and_no_429",
    ),
    # an enforced spend limit
    "110": (
        "protocol/providers/test_classification.py::test_trap_110_an_enforced_spend_limit_is_nothing_to_wait_for",
        "sdk/test_sdk_upstream_errors.py::test_spent_credit_of_the_gateway_is_an_outage_and_no_429",
    ),
    # an overloaded Anthropic
    "111": (
        "gateway/test_provider_quirks.py::test_traps_111_and_112_what_a_provider_has_no_room_for_goes_to_another_at_once",
        "protocol/providers/test_classification.py::test_trap_111_an_overloaded_anthropic_is_no_limit_of_ours",
    ),
    # capacity and limits apart
    "112": (
        "gateway/test_provider_quirks.py::test_traps_111_and_112_what_a_provider_has_no_room_for_goes_to_another_at_once",
        "protocol/providers/test_classification.py::test_trap_112_a_503_is_capacity_and_a_429_a_limit_of_ours",
    ),
    # Z.ai's codes
    "113": (
        "gateway/test_provider_quirks.py::test_trap_113_and_114_a_refusal_for_concurrency_waits_for_an_own_call_to_end",
        "protocol/providers/test_zai.py::test_trap_113_the_code_says_which_limit_it_is",
    ),
    # refused for concurrency
    "114": (
        "gateway/test_provider_quirks.py::test_trap_113_and_114_a_refusal_for_concurrency_waits_for_an_own_call_to_end",
    ),
    # what a cache read costs
    "115": (
        "gateway/test_provider_quirks.py::test_trap_115_what_anthropic_read_from_its_cache_is_not_charged",
    ),
    # the most output is reserved
    "116": (
        "gateway/test_provider_quirks.py::test_trap_116_openais_limit_holds_the_most_output_until_the_answer_is_there",
    ),
    # answers out of order
    "117": (
        "scheduling/test_told_limits.py::test_trap_117_an_older_answer_that_comes_later_does_not_raise_the_estimate",
    ),
    # when Node comes back
    "118": (
        "sdk/test_sdk_limits.py::test_who_will_not_wait_gets_one_429_from_a_limit_that_is_configured",
        "node/test_node_sdk_failures.py::test_who_will_not_wait_gets_one_429",
    ),
    # never at once
    "119": (
        "sdk/test_sdk_limits.py::test_who_will_not_wait_gets_one_429_from_a_limit_that_is_configured",
        "protocol/ollama/test_ollama_errors.py::test_trap_119_a_refusal_says_when_to_come_back_and_never_at_once",
        "node/test_node_sdk_failures.py::test_who_will_not_wait_gets_one_429",
    ),
    # whether to try again
    "120": (
        "sdk/test_sdk_limits.py::test_who_will_not_wait_gets_one_429_from_a_limit_that_is_configured",
        "sdk/test_sdk_upstream_errors.py::test_an_upstream_that_keeps_failing_is_a_502_that_no_sdk_tries_again",
        "node/test_node_sdk_failures.py::test_who_will_not_wait_gets_one_429",
        "node/test_node_sdk_failures.py::test_an_error_before_the_answer_has_its_own_status",
    ),
    # attempts that repeat one that runs
    "121": (
        "gateway/test_repeated_attempts.py::test_trap_121_an_attempt_ends_the_one_that_it_repeats",
    ),
    # the words that make agents compact
    "122": (
        "protocol/anthropic/test_anthropic_errors.py::test_an_overflow_is_said_so_that_agents_compact_trap_122",
        "protocol/openai/test_openai_errors.py::test_an_overflow_of_the_context_is_recognised_trap_122",
    ),
    # no JSON object
    "Z1": ("gateway/test_seen_elsewhere.py::test_trap_z1_what_is_no_json_object_is_a_400",),
    # a missing field
    "Z2": ("gateway/test_seen_elsewhere.py::test_trap_z2_a_missing_field_is_a_400_that_names_it",),
    # every 4xx
    "Z3": ("gateway/test_seen_elsewhere.py::test_trap_z3_every_4xx_has_the_shape_of_its_dialect",),
    # wrong paths and methods
    "Z4": (
        "gateway/test_seen_elsewhere.py::test_trap_z4_a_wrong_path_or_method_is_told_in_the_dialect",
    ),
    # Anthropic's list
    "Z5": (
        "gateway/test_seen_elsewhere.py::test_trap_z5_an_anthropic_client_gets_anthropics_list",
    ),
    # ids of requests
    "Z6": ("gateway/test_seen_elsewhere.py::test_trap_z6_every_answer_has_the_id_of_its_request",),
    # chunks for strict readers
    "Z7": (
        "gateway/test_seen_elsewhere.py::test_trap_z7_chunks_have_all_that_strict_readers_ask_for",
    ),
    # two choices in a stream
    "Z8": ("gateway/test_seen_elsewhere.py::test_trap_z8_both_choices_of_a_stream_arrive_whole",),
    # real responses
    "Z9": (
        "gateway/test_seen_elsewhere.py::test_trap_z9_responses_are_real_ones_over_any_upstream",
    ),
    # a developer alone
    "Z10": (
        "gateway/test_seen_elsewhere.py::test_trap_z10_a_developer_message_alone_is_served_by_anthropic",
    ),
    # calls of an Ollama stream
    "Z11": (
        "gateway/test_seen_elsewhere.py::test_trap_z11_a_tool_call_of_an_ollama_stream_arrives",
    ),
    # no limit for Anthropic
    "Z12": ("gateway/test_seen_elsewhere.py::test_trap_z12_a_limit_is_filled_in_for_anthropic",),
    # no model
    "Z13": ("gateway/test_seen_elsewhere.py::test_trap_z13_a_request_without_a_model_is_a_400",),
    # no body, a needless query
    "Z14": (
        "gateway/test_seen_elsewhere.py::test_trap_z14_no_body_or_a_needless_query_breaks_nothing",
    ),
    # a wrong key
    "Z15": (
        "gateway/test_seen_elsewhere.py::test_trap_z15_a_wrong_key_is_a_401_before_anything_is_read",
    ),
}
"""By number: where its tests are."""


_MENTION = re.compile(r"(?i)traps?[ _]+((?:[z]?\d+|[ _,;]|\band\b|and_|\bto\b|to_)+)")
_RANGE = re.compile(r"(\d+)[ _]+to[ _]+(\d+)")


@cache
def _functions(path: str) -> dict[str, str]:
    """The text of each test of a file, its decorators included."""
    text = (TESTS / path).read_text(encoding="utf-8")
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            begin = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found[node.name] = "\n".join(lines[begin - 1 : node.end_lineno])
    return found


def _mentioned(text: str) -> set[str]:
    """The numbers of the traps that a test says it is of."""
    numbers: set[str] = set()
    for mention in _MENTION.finditer(text):
        numbers.update(re.findall(r"[zZ]?\d+", mention[1]))
        for first, last in _RANGE.findall(mention[1]):
            numbers.update(map(str, range(int(first), int(last) + 1)))
    return {number.upper() for number in numbers}


def test_every_trap_has_a_test() -> None:
    assert set(TRAPS) == {*map(str, NUMBERS), *UNNUMBERED}
    assert all(TRAPS.values())


@pytest.mark.parametrize("number", TRAPS)
def test_the_tests_of_a_trap_are_there_and_say_so(number: str) -> None:
    for test in TRAPS[number]:
        path, _, name = test.partition("::")
        functions = _functions(path)
        assert name in functions, f"{path} has no test {name} any more"
        assert name.startswith("test_")
        assert number in _mentioned(functions[name]), f"{test} does not say that it is of {number}"
