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

wait:
  max_wait_ms: 120000              # a request that has not started by then gets a 429; 0: at once
  hold: auto                       # auto: streams are kept alive; silent: none; keepalive: all
  keepalive_after_ms: 15000        # a waiting stream answers 200 then, and sends keep-alives
  keepalive_every_ms: 10000        # below the 20 to 60 s at which proxies and tools lose patience
  json_keepalive_after_ms: 240000  # hold: keepalive, not streamed; some clients give up at 300 s

# Images that requests only link to, for servers that can't follow links themselves (Ollama).
images:
  links: fetch                     # from public addresses only; refuse: 400
  max_bytes: 20971520              # of all linked images of one request (20 MiB)
  timeout_ms: 10000                # for getting one of them

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
      #rpm: 500                    # requests per minute
      #rps: 10                     # requests per second, for providers that count so
      #tpm: 200000                 # tokens per minute
      #concurrency: 64             # calls at once
      #burst: 20                   # requests that may start back to back after a quiet time

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

# Names of your own, and what serves them.
models:
  #fast:
    #targets: [openai/gpt-5-mini, local/llama3.2]
    #strategy: ordered             # ordered: a later one while no earlier has room; balanced: any
    #max_wait_ms: 60000            # instead of wait.max_wait_ms
    #hold: keepalive               # instead of wait.hold
    #on_unsupported: reject        # instead of defaults.on_unsupported

# What serves a request for a model that nobody knows, by the API that was called; and what becomes
# of a field that the API of a model's target can't say.
defaults:
  #openai: fast
  #anthropic: fast
  #ollama: fast
  unknown_model: reject            # reject: 404; default: the models above
  on_unsupported: drop             # drop: left out, and named in the answer; reject: 400

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
    #manage_models: true           # may have Ollama servers pull, push, make and delete models
"""
"""Loads as it is, and still loads with every ``#setting`` line switched on (given the keys)."""
