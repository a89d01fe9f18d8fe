"""The configuration file that ``forebay init`` writes."""

EXAMPLE_CONFIG = """\
# Forebay: every setting with its default. docs/configuration.md tells more about each.
#
# A line that begins with '#' and no space is a setting that is switched off: remove the '#' to
# switch it on. ${NAME} is filled in from the environment, ${NAME:-text} has a default, and $$ is
# a dollar sign. Inside { } put ${NAME} in quotes. Times are milliseconds.

server:
  host: 127.0.0.1                  # other than loopback only with clients below: they bring keys
  port: 4290
  max_sessions: 10000              # connections at once; more wait to be accepted
  max_body_bytes: 33554432         # of one request (32 MiB); a larger one gets a 413
  waiting_bytes: 1073741824        # of all waiting requests (1 GiB); then reading pauses
  body_idle_ms: 60000              # silence allowed while a client sends its request
  body_grace_ms: 20000             # a request that takes longer than this to arrive ...
  body_min_bytes_per_second: 16384 # ... must have come at this speed since, on average
  write_timeout_ms: 30000          # how long a client that does not read may hold a connection
  keep_alive_ms: 75000             # how long an idle connection stays open
  drain_ms: 30000                  # on SIGTERM: how long running answers may take to end
  watch_config: true               # apply this file when it changes; on SIGHUP it is in any case

wait:
  max_wait_ms: 120000              # a request that has not started by then gets a 429; 0: at once
  hold: auto                       # auto: streams are kept alive; silent: none; keepalive: all
  keepalive_after_ms: 15000        # a waiting stream answers 200 then, and sends keep-alives
  keepalive_every_ms: 10000        # below the 20 to 60 s at which proxies and tools lose patience
  json_keepalive_after_ms: 240000  # hold: keepalive, not streamed; some clients give up at 300 s

scheduling:
  batch_share: 20                  # per cent for clients of class batch, while both classes wait

# Images that requests only link to, for servers that can't follow links themselves (Ollama).
images:
  links: fetch                     # from public addresses only; refuse: 400
  max_bytes: 20971520              # of all linked images of one request (20 MiB)
  timeout_ms: 10000                # for getting one of them

# What is kept: over restarts what was learned of providers and what is left of their limits, in a
# file; for clients between their requests the answers of the Responses API, in memory.
state:
  #path: forebay.sqlite            # from this folder; :memory: keeps nothing over restarts
  max_responses: 100000            # of all clients; whoever holds most loses the oldest
  max_bytes: 268435456             # of these answers and what led to them (256 MiB)
  keep_ms: 2592000000              # 30 days, as OpenAI keeps them

# The accounts and servers behind the gateway. Their models can be asked for as NAME/MODEL-ID at
# once; names of your own come under models.
providers:
  local:
    kind: ollama
    hosts: ["http://127.0.0.1:11434"]  # several equal servers may stand here
    timeouts:                      # of a call that has started; waiting does not count
      connect_ms: 10000
      first_byte_ms: 600000        # loading a large model takes minutes without a byte
      between_bytes_ms: 300000
    #limits:                       # what is left out is learned from the provider's answers
      #concurrency: 2              # calls at once, per host: what OLLAMA_NUM_PARALLEL says

  #openai:
    #kind: openai
    #api_key: "${OPENAI_API_KEY}"
    #limits:
      #rps: 10                     # requests per second, for providers that count so
      #rpm: 500                    # requests per minute
      #rpd: 10000                  # requests per day
      #tpm: 200000                 # tokens per minute, input and output together
      #tpd: 5000000                # tokens per day
      #itpm: 100000                # the same of input and of output alone
      #otpm: 20000
      #itpd: 3000000
      #otpd: 600000
      #concurrency: 64             # calls at once
      #burst: 20                   # requests that may start back to back after a quiet time
      #token_burst: 30000          # the same in tokens
      #minute_shape: smooth        # how limits per minute come back: smooth, fixed or rolling
      #day_shape: rolling          # and those per day; fixed: at midnight UTC
      #windows: [{limit: 600, seconds: 18000, unit: requests, shape: rolling}]  # others
    #targets:                      # what is particular to one model, by the provider's id of it
      #gpt-5-mini:
        #limits: {tpm: 100000}     # beside those of the account
        #price: {input: 0.25, output: 2.0}  # US dollars for a million tokens
        #capabilities: [tools, vision]  # what of this is left out is as the provider lists it,
        #lacks: [audio]            # or else as is known of the model
        #context_tokens: 400000    # prompt and answer together
        #max_output_tokens: 128000
        #deprecated: false         # true: its provider is about to take it away
    #listing_refresh_ms: 600000    # how often it is asked which models it has
    #local: false                  # whether its models run here; left out, as its address tells

  #anthropic:
    #kind: anthropic
    #api_key: "${ANTHROPIC_API_KEY}"

  # vLLM, llama.cpp, LM Studio and others
  #vllm:
    #kind: openai_compatible
    #base_url: "http://127.0.0.1:8000/v1"
    #headers:                      # sent with every call; the values are secrets
      #x-team: "research"
    #limits: {concurrency: 8}
    #prefill: continue_final_message  # how it goes on with an answer that has begun: none,
                                   # last_turn, prefix; left out, by what is known of it

  # A server whose certificate comes from an authority of your own, behind a proxy
  #gpu:
    #kind: openai_compatible
    #base_url: "https://gpu.example:8443/v1"
    #tls:                          # files in PEM form, from this folder
      #ca_file: "ca.pem"           # who is trusted instead of the system's authorities
      #client_cert: "client.pem"   # as whom the gateway comes, if it must
      #client_key: "client.key"
      #client_key_password: "${CLIENT_KEY_PASSWORD:-}"
      #verify: true                # false: whoever answers is trusted; for a test only
    #proxy: "http://proxy.example:3128"  # or none; left out: HTTPS_PROXY and its like

# Several accounts as one: GROUP/MODEL-ID is the model at each of them, as a target and outright.
groups:
  #openai-all: [openai, vllm]

# Names of your own, and what serves them.
models:
  #fast:
    #targets: [openai/gpt-5-mini, local/llama3.2]
    #strategy: weighted            # or ordered, balanced, cheapest, fastest: who serves if several
                                   # have room; left out, the first of them
    #weights: [95, 5]              # of the targets, for weighted
    #sticky: true                  # a conversation stays at its target while there is room
    #max_wait_ms: 60000            # instead of wait.max_wait_ms
    #hold: keepalive               # instead of wait.hold
    #on_unsupported: reject        # instead of defaults.on_unsupported
    #continue_broken: true         # a stream that breaks off is gone on with by a target that can

# Other names: as they are, with a star, or (~) as a regular expression.
aliases:
  #gpt-4: fast

# How a model is chosen for who asks for the model auto.
auto:
  cost_bias: 0.5                   # 0 to 1: what the price counts, against room; 1: the cheapest
  prefer_local: 0                  # 0 to 1: what it is worth that a model runs here; true is 1
  candidates: all                  # or configured: only the targets of models

# What serves a request for a model that nobody knows, by the API that was called; and what becomes
# of a field that the API of a model's target can't say.
defaults:
  #openai: fast
  #anthropic: fast
  #ollama: fast
  unknown_model: reject            # reject: 404; default: the models above
  on_unsupported: drop             # drop: left out, and named in the answer; reject: 400
  reasoning_field: reasoning_content  # or reasoning: where OpenAI's clients find it

# Who may call. Without clients, everybody who reaches the socket may.
clients:
  #alice:
    #key: "${ALICE_KEY}"
    #weight: 2                     # twice the tokens of a client with 1, when they compete
    #class: interactive            # or batch: takes what interactive leaves, and its own share
    #max_wait_ms: 300000           # comes before the model's; a request can only lower it
    #hold: silent                  # instead of the model's
    #on_unsupported: drop          # instead of the model's
    #models: [fast]                # the only ones that this client may ask for
    #auto: {prefer_local: true}    # instead of auto
    #keyless: [ollama]             # requests in these dialects need no key and are this client's
    #keyless_from: [127.0.0.0/8, "::1/128"]  # where those may come from
    #manage_models: true           # may have Ollama servers pull, push, make and delete models
"""
"""Loads as it is, and still loads with every ``#setting`` line switched on (given the keys)."""
