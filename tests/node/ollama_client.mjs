// The `ollama` package.
import { Ollama } from 'ollama';
import { z } from 'zod';
import { City, answerAll } from './asking.mjs';

const ENDS = { stop: 'done', length: 'length' };

async function chat(question, fetch, say) {
  const client = new Ollama({ host: question.url, fetch, headers: question.headers });
  const messages = [];
  if (question.system !== null) messages.push({ role: 'system', content: question.system });
  const user = { role: 'user', content: question.text };
  if (question.image !== null) user.images = [question.image];
  messages.push(user);
  const sent = { model: question.model, messages };
  if (question.tools.length) {
    sent.tools = question.tools.map(({ name, schema }) => ({
      type: 'function',
      function: { name, parameters: schema },
    }));
  }
  if (question.wants_city) sent.format = z.toJSONSchema(City);
  if (question.thinks) sent.think = 'medium';
  sent.options = {};
  if (question.stop.length) sent.options.stop = question.stop;
  if (question.max_tokens !== null) sent.options.num_predict = question.max_tokens;

  const ask = async () => {
    const parts = [];
    if (question.stream) {
      for await (const part of await client.chat({ ...sent, stream: true })) parts.push(part);
    } else {
      parts.push(await client.chat(sent));
    }
    return say(() => toSaid(parts, question.stream));
  };

  const first = await ask();
  if (question.results.length) {
    const { text, thinking, calls } = first;
    messages.push({
      role: 'assistant',
      content: text,
      ...(thinking ? { thinking } : {}),
      tool_calls: calls.map((call) => ({ function: { name: call.name, arguments: call.arguments } })),
    });
    question.results.forEach((content, at) => {
      messages.push({ role: 'tool', tool_name: calls[at].name, content });
    });
    await ask();
  }
}

function toSaid(parts, stream) {
  const last = parts.at(-1);
  const all = (name) => parts.map((part) => part.message[name] ?? '').join('');
  const calls = parts
    .flatMap((part) => part.message.tool_calls ?? [])
    .map((call) => ({ id: '', name: call.function.name, arguments: call.function.arguments }));
  const end = ENDS[last.done_reason];
  return {
    text: all('content'),
    thinking: all('thinking'),
    calls,
    // This dialect says "stop" after tool calls too.
    end: calls.length && end === 'done' ? 'tools' : end,
    stop_sequence: null,
    input_tokens: last.prompt_eval_count,
    output_tokens: last.eval_count ?? 0,
    id: '',
    model: last.model,
    parsed: null,
    fragments: stream
      ? parts.filter(({ message }) => message.content || message.thinking).length
      : 0,
  };
}

async function embed(question, fetch, say) {
  const client = new Ollama({ host: question.url, fetch });
  const { embeddings, model } = await client.embed({
    model: question.model,
    input: question.inputs,
  });
  await say(() => ({ vectors: embeddings, model }));
}

await answerAll({ ollama: chat, 'ollama-embeddings': embed });
