"""Chat templates as the files of small instruct models carry them, cut down to what a conversation without tools needs.

Each comes with what it makes of a system message S, two questions Q1 and Q2, and an answer A1.
"""

from __future__ import annotations

_ALTERNATE = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_CHATML_TOLD = (
    "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n"
    "<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n"
)
_GRANITE = (
    "{% for message in messages %}{{ '<|start_of_role|>' + message['role'] + '<|end_of_role|>' + message['content'] +"
    " '<|end_of_text|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_of_role|>assistant' }}"
    "{% if controls %}{{ ' ' + controls | tojson() }}{% endif %}{{ '<|end_of_role|>' }}{% endif %}"
)
_GRANITE_TOLD = (
    "<|start_of_role|>system<|end_of_role|>S<|end_of_text|>\n<|start_of_role|>user<|end_of_role|>Q1<|end_of_text|>\n"
    "<|start_of_role|>assistant<|end_of_role|>A1<|end_of_text|>\n"
    "<|start_of_role|>user<|end_of_role|>Q2<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>"
)
_GEMMA_TOLD = (
    "<s><start_of_turn>user\nS\n\nQ1<end_of_turn>\n<start_of_turn>model\nA1<end_of_turn>\n"
    "<start_of_turn>user\nQ2<end_of_turn>\n<start_of_turn>model\n"
)
_GEMMA_LOOP = "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\n' }}"
_PHI_TOLD = "<|user|>\nS\n\nQ1<|end|>\n<|assistant|>\nA1<|end|>\n<|user|>\nQ2<|end|>\n<|assistant|>\n"
_DEEPSEEK = (
    "{% set ns = namespace(system='') %}{% for message in messages %}{% if message['role'] == 'system' %}"
    "{% set ns.system = message['content'] %}{% endif %}{% endfor %}{{ bos_token + ns.system }}"
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}{% endif %}"
    "{% if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}"
    "{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}"
    "{{ '<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>OPEN' }}{% endif %}"
)
_DEEPSEEK_TOLD = "<s>S<｜User｜>Q1<｜Assistant｜>A1<｜end▁of▁sentence｜><｜User｜>Q2<｜Assistant｜>"

FAMILIES: dict[str, tuple[str, str]] = {
    "granite-3": (_GRANITE, _GRANITE_TOLD),
    "granite-4": (
        "{%- set ns = namespace(system='') %}{%- if messages[0].role == 'system' %}"
        "{%- if messages[0].content is string %}{%- set ns.system = messages[0].content %}"
        "{%- else %}{%- for entry in messages[0].content %}{%- set ns.system = ns.system + entry.text %}"
        "{%- endfor %}{%- endif %}{%- endif %}"
        "{{- '<|start_of_role|>system<|end_of_role|>' + ns.system + '<|end_of_text|>\n' }}"
        "{%- for message in messages %}{%- if message.role != 'system' %}"
        "{{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + '<|end_of_text|>\n' }}"
        "{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|start_of_role|>assistant<|end_of_role|>' }}{%- endif %}",
        _GRANITE_TOLD,
    ),
    "llama-3": (
        "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
        " + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
        "{% endif %}{{ content }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        "<s><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nQ1"
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|><|start_header_id|>user<|end_header_id|>"
        "\n\nQ2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "qwen-2.5": (
        "{%- if messages[0]['role'] == 'system' %}{{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}"
        "{%- else %}{{- '<|im_start|>system\nYou are Qwen.<|im_end|>\n' }}{%- endif %}"
        "{%- for message in messages %}{%- if message.role == 'user' or message.role == 'assistant' %}"
        "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}",
        _CHATML_TOLD,
    ),
    "qwen-3": (
        "{%- set ns = namespace(last=messages|length - 1, open=true) %}{%- for message in messages[::-1] %}"
        "{%- if ns.open and message.role == 'user' and not message.content.startswith('<tool_response>') %}"
        "{%- set ns.open = false %}{%- set ns.last = messages|length - 1 - loop.index0 %}{%- endif %}{%- endfor %}"
        "{%- for message in messages %}{%- set content = message.content %}{%- set thought = '' %}"
        "{%- if message.role == 'assistant' and '</think>' in content %}"
        "{%- set thought = content.split('</think>')[0].split('<think>')[-1] %}"
        "{%- set content = content.split('</think>')[-1].lstrip('\n') %}{%- endif %}"
        "{%- if loop.index0 > ns.last %}{%- set content = '<think>\n' + thought + '\n</think>\n\n' + content %}{%- endif %}"
        "{{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
        "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
        "{%- endif %}",
        _CHATML_TOLD + "<think>\n\n</think>\n\n",
    ),
    "gemma-2": (
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for message in messages %}" + _ALTERNATE + _GEMMA_LOOP
        + "{{ message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        _GEMMA_TOLD,
    ),
    "gemma-3": (
        "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}"
        "{%- set prefix = messages[0]['content'][0]['text'] + '\n\n' -%}{%- set turns = messages[1:] -%}"
        "{%- else -%}{%- set prefix = '' -%}{%- set turns = messages -%}{%- endif -%}"
        "{%- for message in turns -%}" + _ALTERNATE + _GEMMA_LOOP + "{{ prefix if loop.first else '' }}"
        "{%- if message['content'] is string -%}{{ message['content'] | trim }}{%- else -%}"
        "{%- for item in message['content'] -%}{{ item['text'] | trim }}{%- endfor -%}{%- endif -%}"
        "{{ '<end_of_turn>\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}",
        _GEMMA_TOLD,
    ),
    "mistral, user and assistant only": (
        "{{ bos_token }}{% for message in messages %}" + _ALTERNATE + "{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ message['content'] + eos_token + ' ' }}{% else %}"
        "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
        "<s>[INST] S\n\nQ1 [/INST]A1</s> [INST] Q2 [/INST]",
    ),
    "mistral, system in the last question": (
        "{%- if messages[0]['role'] == 'system' %}{%- set system_message = messages[0]['content'] %}"
        "{%- set turns = messages[1:] %}{%- else %}{%- set turns = messages %}{%- endif %}{{- bos_token }}"
        "{%- for message in turns %}{%- if message['role'] == 'user' %}{%- if loop.last and system_message is defined %}"
        "{{- '[INST] ' + system_message + '\n\n' + message['content'] + '[/INST]' }}{%- else %}"
        "{{- '[INST] ' + message['content'] + '[/INST]' }}{%- endif %}{%- else %}"
        "{{- ' ' + message['content'] + eos_token }}{%- endif %}{%- endfor %}",
        "<s>[INST] S\n\nQ1[/INST] A1</s>[INST] Q2[/INST]",  # a system message that moves would be read at each turn
    ),
    "mistral small": (
        "{%- set today = strftime_now('%Y-%m-%d') %}{{- bos_token }}{%- for message in messages %}"
        "{%- if message['role'] == 'user' %}{{- '[INST]' + message['content'] + '[/INST]' }}"
        "{%- elif message['role'] == 'system' %}{{- '[SYSTEM_PROMPT]' + message['content'] + '[/SYSTEM_PROMPT]' }}"
        "{%- else %}{{- message['content'] + eos_token }}{%- endif %}{%- endfor %}",
        "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]Q1[/INST]A1</s>[INST]Q2[/INST]",
    ),
    "phi-3, drops a system message": (
        "{% for message in messages %}{% if (message['role'] == 'user') %}"
        "{{ '<|user|>\n' + message['content'] + '<|end|>\n<|assistant|>\n' }}"
        "{% elif (message['role'] == 'assistant') %}{{ message['content'] + '<|end|>\n' }}{% endif %}{% endfor %}",
        _PHI_TOLD,
    ),
    "phi-3.5": (
        "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"
        "{{ '<|system|>\n' + message['content'] + '<|end|>\n' }}{% else %}"
        "{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
        "<|system|>\nS<|end|>\n<|user|>\nQ1<|end|>\n<|assistant|>\nA1<|end|>\n<|user|>\nQ2<|end|>\n<|assistant|>\n",
    ),
    "phi-4, marked for training": (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '<|im_sep|>' }}"
        "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}"
        "{% endgeneration %}{% else %}{{ message['content'] + '<|im_end|>' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}",
        "<|im_start|>system<|im_sep|>S<|im_end|><|im_start|>user<|im_sep|>Q1<|im_end|><|im_start|>assistant<|im_sep|>A1"
        "<|im_end|><|im_start|>user<|im_sep|>Q2<|im_end|><|im_start|>assistant<|im_sep|>",
    ),
    "smollm-2": (
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are SmolLM.<|im_end|>\n' }}{% endif %}"
        "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        _CHATML_TOLD,
    ),
    "smollm-3": (
        "{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}"
        "{%- set mode = '/think' if enable_thinking else '/no_think' -%}{{- '<|im_start|>system\n' -}}"
        "{%- set told = messages[0].content.replace('/no_think', '').rstrip() if messages[0].role == 'system' else '' -%}"
        "{{- 'Reasoning Mode: ' + mode + '\n\n' + told + '\n\n<|im_end|>\n' -}}"
        "{%- for message in messages -%}{%- set content = message.content if message.content is string else '' -%}"
        "{%- if message.role == 'user' -%}{{ '<|im_start|>user\n' + content + '<|im_end|>\n' }}"
        "{%- elif message.role == 'assistant' -%}{%- if mode == '/no_think' -%}"
        "{%- set content = '<think>\n\n</think>\n' + content -%}{%- endif -%}"
        "{{ '<|im_start|>assistant\n' + content.lstrip('\n') + '<|im_end|>\n' }}{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}"
        "{%- if mode == '/no_think' -%}{{ '<think>\n\n</think>\n' }}{%- endif -%}{%- endif -%}",
        "<|im_start|>system\nReasoning Mode: /no_think\n\nS\n\n<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\nA1<|im_end|>\n<|im_start|>user\nQ2<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n",
    ),
    "deepseek distill": (_DEEPSEEK.replace("OPEN", ""), _DEEPSEEK_TOLD),
    "deepseek distill, opens a thought": (
        _DEEPSEEK.replace("OPEN", "<think>\\n"), _DEEPSEEK_TOLD + "<think>\n</think>\n\n"
    ),
    "contents in parts only": (
        "{% for message in messages %}{{ '<|' + message.role + '|>' }}{% for part in message.content %}"
        "{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{{ '<|end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
        "<|system|>S<|end|><|user|>Q1<|end|><|assistant|>A1<|end|><|user|>Q2<|end|><|assistant|>",
    ),
    "tags that nobody knows": (
        "{% cache 'x', 30 %}" + _CHATML.replace("{% endfor %}", "{% profile on %}{% endfor %}") + "{% endcache %}",
        _CHATML_TOLD,
    ),
}  # fmt: skip

# Each with what the refusal says of it.
UNUSABLE: dict[str, tuple[str, str]] = {
    "none": ("", "has no chat template"),
    "blank": (" \n", "has no chat template"),
    "cut off": ("{% for m in messages %}{{ m.content }}", "does not parse"),
    "an unknown filter": ("{% for m in messages %}{{ m.content | shiny }}{% endfor %}", "does not parse"),
    "nested without end": ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "does not parse"),
    "refuses everybody": ("{{ raise_exception('Only tools are served') }}", "fails (Only tools are served)"),
    "not defined": ("{{ '' + functions }}{% for m in messages %}{{ m.content }}{% endfor %}", "'functions' is undefined"),
    "divides by zero": ("{{ 1 / 0 }}", "fails (division by zero)"),
    "calls itself": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "fails (maximum recursion"),
    "reaches outside": ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "fails ("),
    "counts too far": ("{% for i in range(10 ** 9) %}{% endfor %}", "fails ("),
    "without end": ("{% for i in range(99999) %}{{ 'again ' }}{% endfor %}", "writes without end"),
    "empty pieces without end": (
        "{% for i in range(9999) %}{% for j in range(9999) %}{{ '' }}{% endfor %}{% endfor %}", "writes without end",
    ),
    "drops the questions": ("{{ messages[0].content }}", "drops a message"),
    "one question twice": ("{% for m in messages %}{{ m.content + m.content }}{% endfor %}", "repeats messages"),
    "backwards": ("{% for m in messages | reverse %}{{ m.content }}{% endfor %}", "repeats messages"),
    "lists instead of texts": ("{% for m in messages %}{{ [m.content][0:1] | length }}{% endfor %}", "drops a message"),
}  # fmt: skip
