"""The scripted model: a server on the loopback that speaks the real protocols and says what a script tells it to.

Agents are tried with it (`isobench agents doctor`), the demo of agents runs on it (`isobench demo --agents`), and so do
tests: nothing is sent anywhere and no key is needed. It speaks Anthropic's `/v1/messages`, OpenAI's
`/v1/chat/completions` and `/v1/responses`, and Gemini's `generateContent`, streaming and not.

A script is a list of turns. The server keeps no place in it: a request is answered with the turn whose number is that
of the answers which the conversation already holds, so that a request which the agent sends again gets the same answer
again, and any number of conversations can go on at once. A script as YAML (`read_scripts`):

    - when: make it faster            # regular expression, searched in the task; left out: any conversation
      model: scripted-good            # name of the model that is asked for; left out: any
      turns:
        - run: cat module.py          # a shell command, through whatever tool of this agent runs commands
          say: First I read it.       # text before the call
        - run: sed -i 's/slow/fast/' module.py
          usage: {cache_read: 900, reasoning: 20}   # tokens to bill, where they are not to be counted
          faults:                     # before the turn is answered: each as often as it says
            - {status: 529, times: 2}
            - {cut: true}
        - call: {name: Edit, arguments: {file_path: a.py, old_string: a, new_string: b}}   # a tool by its name
        - finish: Done.               # ends the task the way this agent ends tasks

The first script that fits answers. After its last turn the task is finished again. What a fault may be: `status` (with
`retry_after_s`), `cut` (the answer breaks off half way), `hang_s` (no answer for so long, then the connection ends),
`nonsense` (status 200 and no JSON). `for_s` makes a fault last from its first time on, in seconds. `pause_s` of a turn
is waited before each piece of its answer. Requests that offer no tool (titles, summaries) are answered with `side`.

    with ScriptedModel(read_scripts(path)) as model:
        ...                           # base URL of every protocol: model.url; nothing is added to it but the path
    model.usage, model.requests_seen  # what was billed, and what was asked

Tokens are counted exactly, by a rule of this server's own: a token is four bytes of UTF-8 (`tokens.py`).
"""

from tasks.agents.scripted.script import Call, Fault, Script, ScriptError, Turn, read_scripts
from tasks.agents.scripted.seen import Seen
from tasks.agents.scripted.server import ScriptedModel
from tasks.agents.scripted.tokens import Billed, count

__all__ = ["Billed", "Call", "Fault", "Script", "ScriptError", "ScriptedModel", "Seen", "Turn", "count", "read_scripts"]
