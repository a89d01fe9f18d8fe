// The `ai` package with a provider for each dialect.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { Output, embedMany, generateText, jsonSchema, streamText, tool } from 'ai';
import { createOllama } from 'ai-sdk-ollama';
import { City, answerAll } from './asking.mjs';

// It says on the console what a model may not support.
globalThis.AI_SDK_LOG_WARNINGS = false;

const ENDS = {
  stop: 'done',
  length: 'length',
  'tool-calls': 'tools',
  'content-filter': 'refused',
};

const openai = ({ url, headers }, fetch) =>
  createOpenAI({ baseURL: `${url}/v1`, apiKey: 'any-key', headers, fetch });

const compatible = ({ url, headers }, fetch) =>
  createOpenAICompatible({
    name: 'gateway',
    baseURL: `${url}/v1`,
    apiKey: 'any-key',
    headers,
    fetch,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });

const PROVIDERS = {
  'ai-openai': (question, fetch) => openai(question, fetch).chat(question.model),
  'ai-responses': (question, fetch) => openai(question, fetch)(question.model),
  'ai-compatible': (question, fetch) => compatible(question, fetch)(question.model),
  'ai-anthropic': ({ url, headers, model }, fetch) =>
    createAnthropic({ baseURL: `${url}/v1`, apiKey: 'any-key', headers, fetch })(model),
  'ai-ollama': ({ url, headers, model }, fetch) =>
    createOllama({ baseURL: url, headers, fetch })(model),
};

// What the providers know of the models of their own makers only: that they think, and that they
// take a schema.
const KNOWLEDGE = ({ thinks }) => ({
  openai: thinks ? { forceReasoning: true, reasoningSummary: 'auto' } : {},
  anthropic: {
    structuredOutputMode: 'outputFormat',
    ...(thinks ? { thinking: { type: 'adaptive' }, effort: 'medium' } : {}),
  },
});

const asking = (open) => async (question, fetch, say) => {
  const content = [{ type: 'text', text: question.text }];
  if (question.image !== null) {
    content.push({ type: 'file', mediaType: 'image/png', data: question.image });
  }
  const messages = [{ role: 'user', content }];
  const options = { model: open(question, fetch), messages, maxRetries: 0 };
  if (question.system !== null) options.instructions = question.system;
  if (question.tools.length) {
    options.tools = Object.fromEntries(
      question.tools.map(({ name, schema }) => [
        name,
        tool({ inputSchema: jsonSchema(schema) }),
      ]),
    );
  }
  if (question.wants_city) options.output = Output.object({ schema: City });
  if (question.thinks) options.reasoning = 'medium';
  options.providerOptions = KNOWLEDGE(question);
  if (question.stop.length) options.stopSequences = question.stop;
  if (question.max_tokens !== null) options.maxOutputTokens = question.max_tokens;

  const ask = async (extra) => {
    if (!question.stream) return [await generateText({ ...options, ...extra }), 0];
    const result = streamText({ ...options, ...extra, onError() {} });
    let fragments = 0;
    for await (const part of result.stream) {
      if (part.type === 'error') throw part.error;
      fragments += part.type.endsWith('-delta') ? 1 : 0;
    }
    return [result, fragments];
  };

  const [result, fragments] = await ask(question.must_call ? { toolChoice: 'required' } : {});
  const first = await say(() => toSaid(result, fragments, question));
  if (question.results.length) {
    messages.push(...(await result.response).messages);
    messages.push({
      role: 'tool',
      content: question.results.map((value, at) => ({
        type: 'tool-result',
        toolCallId: first.calls[at].id,
        toolName: first.calls[at].name,
        output: { type: 'text', value },
      })),
    });
    const last = await ask({});
    await say(() => toSaid(...last, question));
  }
};

async function toSaid(result, fragments, question) {
  const { inputTokens, outputTokens } = await result.usage;
  const response = await result.response;
  return {
    text: await result.text,
    thinking: (await result.reasoningText) ?? '',
    calls: (await result.toolCalls).map((call) => ({
      id: call.toolCallId,
      name: call.toolName,
      arguments: call.input,
    })),
    end: ENDS[await result.finishReason] ?? (await result.finishReason),
    stop_sequence: null,
    input_tokens: inputTokens,
    // Nothing where Ollama, as it does, leaves out a count of 0.
    output_tokens: outputTokens ?? 0,
    id: response.id,
    model: response.modelId,
    parsed: question.wants_city ? await result.output : null,
    fragments,
  };
}

const embedding = (open) => async (question, fetch, say) => {
  const model = open(question, fetch);
  const { embeddings } = await embedMany({ model, values: question.inputs, maxRetries: 0 });
  await say(() => ({ vectors: embeddings, model: question.model }));
};

await answerAll({
  ...Object.fromEntries(Object.entries(PROVIDERS).map(([name, open]) => [name, asking(open)])),
  'ai-openai-embeddings': embedding((one, fetch) => openai(one, fetch).embedding(one.model)),
  'ai-compatible-embeddings': embedding((one, fetch) =>
    compatible(one, fetch).embeddingModel(one.model),
  ),
});
