// The `@anthropic-ai/sdk` package.
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { City, answerAll } from './asking.mjs';

const ENDS = {
  end_turn: 'done',
  stop_sequence: 'stop sequence',
  max_tokens: 'length',
  tool_use: 'tools',
  refusal: 'refused',
};

async function messages(question, fetch, say) {
  const client = new Anthropic({
    baseURL: question.url,
    apiKey: 'any-key',
    defaultHeaders: question.headers,
    fetch,
  });
  const source = { type: 'base64', media_type: 'image/png', data: question.image };
  const parts = [
    { type: 'image', source },
    { type: 'text', text: question.text },
  ];
  const turns = [{ role: 'user', content: question.image === null ? question.text : parts }];
  const options = { model: question.model, max_tokens: question.max_tokens ?? 2048 };
  if (question.system !== null) options.system = question.system;
  if (question.tools.length) {
    options.tools = question.tools.map(({ name, schema }) => ({ name, input_schema: schema }));
  }
  if (question.thinks) {
    options.thinking = { type: 'adaptive' };
    options.output_config = { effort: 'medium' };
  }
  if (question.wants_city) {
    options.output_config = { ...options.output_config, format: zodOutputFormat(City) };
  }
  if (question.stop.length) options.stop_sequences = question.stop;

  const ask = async (extra) => {
    const sent = { ...options, ...extra, messages: turns };
    if (!question.stream) {
      const { messages: whole } = client;
      return [await (question.wants_city ? whole.parse(sent) : whole.create(sent)), 0];
    }
    let fragments = 0;
    const stream = client.messages.stream(sent);
    stream.on('streamEvent', ({ type, delta }) => {
      const brought = delta?.text || delta?.thinking || delta?.partial_json;
      fragments += type === 'content_block_delta' && brought ? 1 : 0;
    });
    return [await stream.finalMessage(), fragments];
  };

  const [message, fragments] = await ask(
    question.must_call ? { tool_choice: { type: 'any' } } : {},
  );
  const first = await say(() => toSaid(message, fragments));
  if (question.results.length) {
    turns.push({ role: 'assistant', content: message.content });
    const content = question.results.map((result, at) => ({
      type: 'tool_result',
      tool_use_id: first.calls[at].id,
      content: result,
    }));
    turns.push({ role: 'user', content });
    const last = await ask({});
    await say(() => toSaid(...last));
  }
}

function toSaid(message, fragments) {
  const blocks = (type) => message.content.filter((block) => block.type === type);
  return {
    text: blocks('text')
      .map((block) => block.text)
      .join(''),
    thinking: blocks('thinking')
      .map((block) => block.thinking)
      .join(''),
    calls: blocks('tool_use').map((block) => ({
      id: block.id,
      name: block.name,
      arguments: block.input,
    })),
    end: ENDS[message.stop_reason],
    stop_sequence: message.stop_sequence,
    input_tokens: message.usage.input_tokens,
    output_tokens: message.usage.output_tokens,
    id: message.id,
    model: message.model,
    parsed: message.parsed_output ?? null,
    fragments,
  };
}

await answerAll({ anthropic: messages });
