// The `openai` package: chat completions and responses.
import OpenAI from 'openai';
import { ContentFilterFinishReasonError, LengthFinishReasonError } from 'openai/error';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { City, answerAll } from './asking.mjs';

const CHAT_ENDS = {
  stop: 'done',
  length: 'length',
  tool_calls: 'tools',
  content_filter: 'refused',
};

function open(question, fetch) {
  return new OpenAI({
    baseURL: `${question.url}/v1`,
    apiKey: 'any-key',
    defaultHeaders: question.headers,
    fetch,
  });
}

function chatTools(question) {
  return question.tools.map(({ name, schema }) => ({
    type: 'function',
    function: { name, parameters: schema },
  }));
}

async function chat(question, fetch, say) {
  const client = open(question, fetch);
  const messages = [];
  if (question.system !== null) messages.push({ role: 'system', content: question.system });
  const parts = [
    { type: 'text', text: question.text },
    { type: 'image_url', image_url: { url: `data:image/png;base64,${question.image}` } },
  ];
  messages.push({ role: 'user', content: question.image === null ? question.text : parts });
  const options = { model: question.model };
  if (question.tools.length) options.tools = chatTools(question);
  if (question.wants_city) options.response_format = zodResponseFormat(City, 'city');
  if (question.thinks) options.reasoning_effort = 'medium';
  if (question.stop.length) options.stop = question.stop;
  if (question.max_tokens !== null) options.max_tokens = question.max_tokens;

  const ask = async (extra) => {
    const sent = { ...options, ...extra, messages };
    if (!question.stream) {
      const { completions } = client.chat;
      const whole = await (question.wants_city ? completions.parse(sent) : completions.create(sent));
      return [whole, 0];
    }
    let fragments = 0;
    let thinking = '';
    let snapshot;
    const stream = client.chat.completions.stream({
      ...sent,
      stream_options: { include_usage: true },
    });
    stream.on('chunk', (chunk, completion) => {
      snapshot = completion;
      for (const { delta } of chunk.choices) {
        fragments += bringsContent(delta) ? 1 : 0;
        thinking += delta.reasoning_content ?? '';
      }
    });
    const completion = await stream.finalChatCompletion().catch((error) => {
      // How this helper tells that an answer was cut at its limit, or refused.
      const told = [LengthFinishReasonError, ContentFilterFinishReasonError];
      if (told.some((kind) => error instanceof kind)) return snapshot;
      throw error;
    });
    // It keeps only the last piece of fields that it does not know.
    if (thinking) completion.choices[0].message.reasoning_content = thinking;
    return [completion, fragments];
  };

  const [completion, fragments] = await ask(
    question.must_call ? { tool_choice: 'required' } : {},
  );
  await say(() => chatSaid(completion, fragments));
  if (question.results.length) {
    const [{ message }] = completion.choices;
    messages.push(message);
    question.results.forEach((content, at) => {
      messages.push({ role: 'tool', tool_call_id: message.tool_calls[at].id, content });
    });
    const last = await ask({});
    await say(() => chatSaid(...last));
  }
}

function bringsContent(delta) {
  const calls = delta.tool_calls ?? [];
  return Boolean(
    delta.content || delta.reasoning_content || calls.some((call) => call.function?.arguments),
  );
}

function chatSaid(completion, fragments) {
  const [choice] = completion.choices;
  const { message } = choice;
  return {
    text: message.content ?? '',
    thinking: message.reasoning_content ?? '',
    calls: (message.tool_calls ?? []).map((call) => ({
      id: call.id,
      name: call.function.name,
      arguments: JSON.parse(call.function.arguments),
    })),
    end: CHAT_ENDS[choice.finish_reason],
    stop_sequence: null,
    input_tokens: completion.usage.prompt_tokens,
    output_tokens: completion.usage.completion_tokens,
    id: completion.id,
    model: completion.model,
    parsed: message.parsed ?? null,
    fragments,
  };
}

async function responses(question, fetch, say) {
  const client = open(question, fetch);
  const content = [{ type: 'input_text', text: question.text }];
  if (question.image !== null) {
    const image_url = `data:image/png;base64,${question.image}`;
    content.push({ type: 'input_image', image_url, detail: 'auto' });
  }
  const input = [{ role: 'user', content: question.image === null ? question.text : content }];
  const options = { model: question.model, store: false };
  if (question.system !== null) options.instructions = question.system;
  if (question.tools.length) {
    options.tools = question.tools.map(({ name, schema }) => ({
      type: 'function',
      name,
      parameters: schema,
      strict: false,
    }));
  }
  if (question.wants_city) options.text = { format: zodTextFormat(City, 'city') };
  if (question.thinks) options.reasoning = { effort: 'medium', summary: 'auto' };
  if (question.max_tokens !== null) options.max_output_tokens = question.max_tokens;

  const ask = async (extra) => {
    const sent = { ...options, ...extra, input };
    if (!question.stream) {
      const whole = client.responses;
      return [await (question.wants_city ? whole.parse(sent) : whole.create(sent)), 0, []];
    }
    let fragments = 0;
    let failure = '';
    const events = [];
    const stream = client.responses.stream(sent);
    stream.on('event', (event) => {
      events.push([event.type, event.response?.status ?? null]);
      fragments += event.type.endsWith('.delta') && event.delta ? 1 : 0;
      if (event.type === 'response.failed') failure = event.response.error.message;
    });
    const response = await stream.finalResponse().catch((error) => {
      // What the failed response says is an event like any other to this helper.
      if (failure) error.message += `: ${failure}`;
      throw error;
    });
    return [response, fragments, events];
  };

  const first = await ask(question.must_call ? { tool_choice: 'required' } : {});
  const [response] = first;
  await say(() => responseSaid(...first));
  if (question.results.length) {
    const calls = response.output.filter((item) => item.type === 'function_call');
    input.push(...response.output);
    question.results.forEach((output, at) => {
      input.push({ type: 'function_call_output', call_id: calls[at].call_id, output });
    });
    const last = await ask({});
    await say(() => responseSaid(...last));
  }
}

// `events`: kind, and status of the response, of everything that the SDK has parsed.
function responseSaid(response, fragments, events) {
  const items = (type) => response.output.filter((item) => item.type === type);
  const parts = items('message').flatMap((item) => item.content);
  const calls = items('function_call').map((item) => ({
    id: item.call_id,
    name: item.name,
    arguments: JSON.parse(item.arguments),
  }));
  const reasons = { max_output_tokens: 'length', content_filter: 'refused' };
  const done = calls.length ? 'tools' : 'done';
  return {
    text: parts.map((part) => part.text ?? part.refusal).join(''),
    thinking: items('reasoning')
      .flatMap((item) => (item.content?.length ? item.content : item.summary))
      .map((part) => part.text)
      .join(''),
    calls,
    end: response.status === 'completed' ? done : reasons[response.incomplete_details?.reason],
    stop_sequence: null,
    input_tokens: response.usage.input_tokens,
    output_tokens: response.usage.output_tokens,
    id: response.id,
    model: response.model,
    parsed: response.output_parsed ?? null,
    fragments,
    events,
  };
}

async function embeddings(question, fetch, say) {
  const { data, model } = await open(question, fetch).embeddings.create({
    model: question.model,
    input: question.inputs,
  });
  await say(() => ({ vectors: data.map((one) => one.embedding), model }));
}

await answerAll({ openai: chat, 'openai-responses': responses, 'openai-embeddings': embeddings });
