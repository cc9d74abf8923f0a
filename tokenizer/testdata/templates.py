"""Makes templates.json: what Jinja, set up as the transformers library does, makes of templates like those of chat models.

    pip install jinja2==3.1.6
    python templates.py
"""
import json, os, jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
import jinja2.ext
from datetime import datetime
class Gen(jinja2.ext.Extension):
    tags={'generation'}
    def parse(self,parser):
        lineno=next(parser.stream).lineno
        body=parser.parse_statements(['name:endgeneration'],drop_needle=True)
        return jinja2.nodes.ScopedEvalContextModifier(lineno=lineno,options=[],body=body) if False else jinja2.nodes.If(jinja2.nodes.Const(True),body,[],[],lineno=lineno)
def raise_exception(m): raise jinja2.exceptions.TemplateError(m)
def tojson(x,ensure_ascii=False,indent=None,separators=None,sort_keys=False): return json.dumps(x,ensure_ascii=ensure_ascii,indent=indent,separators=separators,sort_keys=sort_keys)
env=ImmutableSandboxedEnvironment(trim_blocks=True,lstrip_blocks=True,extensions=[Gen,jinja2.ext.loopcontrols])
env.filters['tojson']=tojson
env.globals['raise_exception']=raise_exception
env.globals['strftime_now']=lambda f: datetime(2024,7,4,9,5,7).strftime(f)
tools=[{"type":"function","function":{"name":"get_weather","description":"Weather \"now\" <b>&","parameters":{"type":"object","properties":{"city":{"type":"string","description":"Zürich"},"n":{"type":"integer","enum":[1,2]}},"required":["city"]}}}]
convs=[
 [{"role":"user","content":"Hello!"}],
 [{"role":"system","content":"Be brief."},{"role":"user","content":" Hi \n"},{"role":"assistant","content":"<think>\nx\n</think>\n\nYo"},{"role":"user","content":"日本 & <b>"}],
 [{"role":"user","content":[{"type":"text","text":"look"},{"type":"image"}]}],
 [{"role":"user","content":"w?"},{"role":"assistant","content":None,"tool_calls":[{"id":"abcdefghi","type":"function","function":{"name":"get_weather","arguments":{"city":"Oslo","n":1,"f":2.50,"b":True,"z":None}}}]},{"role":"tool","tool_call_id":"abcdefghi","name":"get_weather","content":"{\"t\": 1}"}],
]
T={}
T['llama31']=r'''{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- This block extracts the system message #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if tools is not none %}
    {{- "Environment: ipython\n" }}
{%- endif %}
{{- "Today Date: " + date_string + "\n\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- if tools_in_user_message and not tools is none %}
    {%- if messages | length != 0 %}
        {%- set first_user_message = messages[0]['content']|trim %}
        {%- set messages = messages[1:] %}
    {%- else %}
        {{- raise_exception("Cannot put tools in the first user message when there's no first user message!") }}
{%- endif %}
    {{- '<|start_header_id|>user<|end_header_id|>\n\n' -}}
    {{- 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.' }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\n\n" }}
    {%- endfor %}
    {{- first_user_message + "<|eot_id|>"}}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("This model only supports single tool-calls at once!") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {%- if builtin_tools is defined and tool_call.name in builtin_tools %}
            {%- for arg_name, arg_val in tool_call.arguments | items %}
                {{- arg_name + '="' + arg_val + '"' }}
                {%- if not loop.last %}{{- ", " }}{%- endif %}
            {%- endfor %}
        {%- else  %}
            {{- '{"name": "' + tool_call.name + '", ' }}
            {{- '"parameters": ' }}
            {{- tool_call.arguments | tojson }}
            {{- "}" }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
'''
T['gemma3']=r'''{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model\n'}}
{%- endif -%}
'''
T['mistral']=r'''{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, conversation roles must alternate user/assistant/user/assistant/...") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}
                    {{- ", " }}
                {%- else %}
                    {{- "]" }}
                {%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
            {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}
            {{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}
                {{- raise_exception("Tool call IDs should be alphanumeric strings with length 9!") }}
            {%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}
            {%- if not loop.last %}
                {{- ", " }}
            {%- else %}
                {{- "]" + eos_token }}
            {%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool_results" or message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}
            {%- set content = message.content.content %}
        {%- else %}
            {%- set content = message.content %}
        {%- endif %}
        {{- '[TOOL_RESULTS] {"content": ' + content|string + ", " }}
        {{- '"call_id": "' + message.tool_call_id + '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, with the exception of an initial optional system message!") }}
    {%- endif %}
{%- endfor %}
'''
T['hermes']=r'''{%- macro json_to_python_type(json_spec) %}
{%- set basic_type_map = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool"
} %}
{%- if basic_type_map[json_spec.type] is defined %}
    {{- basic_type_map[json_spec.type] }}
{%- elif json_spec.type == "array" %}
    {{- "list[" +  json_to_python_type(json_spec|items) + "]"}}
{%- elif json_spec.type == "object" %}
    {%- if json_spec.additionalProperties is defined %}
        {{- "dict[str, " + json_to_python_type(json_spec.additionalProperties) + ']'}}
    {%- else %}
        {{- "dict" }}
    {%- endif %}
{%- elif json_spec.type is iterable %}
    {{- "Union[" }}
    {%- for t in json_spec.type %}
      {{- json_to_python_type({"type": t}) }}
      {%- if not loop.last %}
        {{- "," }} 
    {%- endif %}
    {%- endfor %}
    {{- "]" }}
{%- else %}
    {{- "Any" }}
{%- endif %}
{%- endmacro %}
{{- bos_token }}
{{- '<|im_start|>system
' }}
{%- for tool in tools or [] %}
    {%- if tool.function is defined %}
        {%- set tool = tool.function %}
    {%- endif %}
    {{- '{"type": "function", "function": ' }}
    {{- '{"name": "' + tool.name + '", ' }}
    {{- '"description": "' + tool.name + '(' }}
    {%- for param_name, param_fields in tool.parameters.properties|items %}
        {{- param_name + ": " + json_to_python_type(param_fields) }}
        {%- if not loop.last %}
            {{- ", " }}
        {%- endif %}
    {%- endfor %}
    {{- ")" }}
    {%- if tool.return is defined %}
        {{- " -> " + json_to_python_type(tool.return) }}
    {%- endif %}
    {{- " - " + tool.description + "\n\n" }}
    {{- '", "parameters": ' }}
    {%- if tool.parameters.properties | length == 0 %}
        {{- "{}" }}
    {%- else %}
        {{- tool.parameters|tojson }}
    {%- endif %}
    {{- "}" }}
    {%- if not loop.last %}
        {{- "\n" }}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == "user" or message.role == "system" or (message.role == "assistant" and message.tool_calls is not defined) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
    {%- for tool_call in message.tool_calls %}
       {{- '\n<tool_call>\n' }}           {%- if tool_call.function is defined %}
            {%- set tool_call = tool_call.function %}
        {%- endif %}
        {{- '{' }}
        {{- '"name": "' }}
        {{- tool_call.name }}
        {{- '"' }}
        {%- if tool_call.arguments is defined %}
            {{- ', ' }}
            {{- '"arguments": ' }}
            {{- tool_call.arguments|tojson }}
        {%- endif %}
        {{- '}' }}
            {{- '\n</tool_call>' }}
    {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.previtem and loop.previtem.role != "tool" %}
            {{- '<|im_start|>tool\n' }}
        {%- endif %}
        {{- '<tool_response>\n' }}
        {{- message.content }}
        {%- if not loop.last %}
            {{- '\n</tool_response>\n' }}
        {%- else %}
            {{- '\n</tool_response>' }}
        {%- endif %}
        {%- if not loop.last and loop.nextitem.role != "tool" %}
            {{- '<|im_end|>' }}
        {%- elif loop.last %}
            {{- '<|im_end|>' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
'''
T['deepseek']=r'''{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='', is_first_sp=true) %}{%- for message in messages %}{%- if message['role'] == 'system' %}{%- if ns.is_first_sp %}{% set ns.system_prompt = ns.system_prompt + message['content'] %}{% set ns.is_first_sp = false %}{%- else %}{% set ns.system_prompt = ns.system_prompt + '\n\n' + message['content'] %}{%- endif %}{%- endif %}{%- endfor %}{{ bos_token }}{{ ns.system_prompt }}{%- for message in messages %}{% set content = message['content'] %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<|User|>' + content + '<|Assistant|>'}}{%- endif %}{%- if message['role'] == 'assistant' %}{% if content is not none and '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{% endif %}{%- if message['role'] == 'assistant' and 'tool_calls' in message %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls'] %}{%- if not ns.is_first %}{%- if content is none %}{{'<|calls|>' + tool['type'] + '<|sep|>' + tool['function']['name'] + '\n' + '```json' + '\n' + tool['function']['arguments']|tojson + '\n' + '```'}}{%- else %}{{content + 'x'}}{%- endif %}{%- set ns.is_first = true -%}{%- endif %}{%- endfor %}{{'<|end|>'}}{%- endif %}{%- if message['role'] == 'assistant' and 'tool_calls' not in message %}{{content + '<|eos|>'}}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{{'<|out|>' + message['content']}}{%- endif %}{%- endfor -%}{% if add_generation_prompt and not ns.is_tool %}{{'<|Assistant|><think>\n'}}{% endif %}'''
T['phi']="{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}{% generation %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endgeneration %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
T['ws']='''
{% if true %}
  a
  {%- if true %} b {% endif -%}
  c
{% endif %}
   {% for x in [1,2,3] %}
  - {{ x }}
   {% endfor %}
{# comment #}
  {# c2 -#}
  end {%+ if true %} z{% endif +%}
  tail{% raw %} {{ x }} {%- y %}{% endraw %}
 {%- raw -%}  q {% endraw -%}   r

'''
snips=r"""{{ [1,2,3][-1] }}|{{ [1][-1] }}|{{ 'abc'[1:] }}|{{ 'abc'[::-1] }}|{{ [1,2,3,4][1:-1:2] }}
{{ (1,2) + (3,) }} {{ [1] + [2] }} {{ ['a', "b'c", 'x\ny', none, true, 1.0, {'k': 'v', 1: 2}] }}
{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 3 }} {{ 2 ** -1 }} {{ 1e20 }} {{ 1.5e-7 }} {{ 3 * 'ab' }} {{ 'ab' * 2 }} {{ 10 / 5 }}
{{ 1 < 2 < 3 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' in 'abc' }} {{ 'x' not in ['x'] }} {{ 'k' in {'k': 1} }} {{ not 'a' in 'b' }}
{{ x is defined }} {{ x is none }} {{ none is none }} {{ x }} {{ x | default('d') }} {{ none | default('d') }} {{ none | default('d', true) }} {{ '' | default('d', boolean=true) }}
{{ x == none }} {{ x == y }} {{ x or 'z' }} {{ not x }} {{ (x|length) }}
{{ messages | map(attribute='role') | join(', ') }} {{ messages | map(attribute='content') | map('string') | list | length }}
{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | rejectattr('role', 'in', ['user','system']) | map(attribute='role') | list }}
{{ messages[0].role.upper().title() }} {{ 'hello world'.split() }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' x '.strip() + '|' }} {{ '--x-'.lstrip('-') }}
{{ 'abc'.startswith(('x','a')) }} {{ 'abc'.endswith('c') }} {{ 'a-b'.replace('-', '+') }} {{ 'aXbX'.find('X') }} {{ 'abc'.index('c') }} {{ 'aaa'.count('a') }}
{{ {'a': 1, 'b': [1,2]} | tojson }} {{ {'b': 1, 'a': {'x': []}} | tojson(indent=2) }} {{ 'é<>&\'"\n\u2028' | tojson }} {{ [1.0, 2.5, 1e100, none, true] | tojson }}
{{ {'b': 1, 'a': 2} | dictsort }} {{ {'b': 1, 'a': 2}.items() | list }} {{ {'b': 1}.get('z', 'q') }} {{ {'b': 1}.keys() | list }} {{ {'a':1}.values() | list }}
{{ 'x' ~ 1 ~ none ~ true }} {{ "a" "b" 'c' }} {{ '%s-%d' % ('a', 3) }} {{ '%05.2f|%-5s|' % (3.14159, 'ab') }} {{ '{} {1}'.format('a','b') if false else '{0} {1} {k}'.format('a','b',k=1) }}
{% set a, b = 1, 2 %}{{ a }}{{ b }} {% set ns = namespace(x=0, y='q') %}{% for i in range(5) %}{% if i == 3 %}{% break %}{% endif %}{% if i == 1 %}{% continue %}{% endif %}{% set ns.x = ns.x + i %}{% set a = 9 %}{% endfor %}{{ ns.x }}{{ a }}
{% macro m(a, b='d', c=a) %}[{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}]{% endmacro %}{{ m(1) }}{{ m(1, c=2) }}{{ m('x', 'y', 'z', 'w', q=1) }}
{% macro w() %}<{{ caller('k') }}>{% endmacro %}{% call(u) w() %}in {{ u }}{% endcall %}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ loop.index }}{{ k }}={{ v }}{{ ',' if not loop.last }}{% endfor %} {% for c in 'añb' %}{{ c }}.{% else %}none{% endfor %} {% for q in [] %}x{% else %}empty{% endfor %}
{% for i in [3,1,2] | sort %}{{ i }}{{ loop.cycle('a','b') }}{{ loop.revindex0 }}{{ loop.first }}{% endfor %} {{ [3,1,2]|sort(reverse=true) }} {{ ['b','A','c']|sort }} {{ ['b','A','a','B']|unique|list }}
{% for i in range(6) if i is even %}{{ loop.index0 }}:{{ i }}/{{ loop.length }} {% endfor %}{% for i in range(3) recursive %}{{ i }}{% endfor %}
{{ 'hello'|capitalize }} {{ 'a b'|title }} {{ ' t '|trim }} {{ 'abc'|first }} {{ [1,2]|last }} {{ 'abc'|reverse }} {{ [1,2,3]|sum }} {{ [1,5,2]|max }} {{ 3.7|int }} {{ '42'|int + 1 }} {{ '3.5'|float }} {{ 3.14159|round(2) }} {{ 2.5|round }} {{ -3|abs }} {{ -3.5|abs }}
{{ 'l1\nl2\n\nl3' | indent(2) }} {{ 'l1\nl2' | indent(2, true) }} {{ 'a long sentence here' | truncate(10, true) }} {{ 'x<y>&"' | e }} {{ 'word count three' | wordcount }}
{{ [1,2,3,4,5] | batch(2) | list }} {{ [1,[2,3]] | length }} {{ 'abc' | list }} {{ 5 | string + 'x' }} {{ true | string }} {{ none | string }}
{{ 1 if true }} {{ 1 if false }}| {{ 1 if false else 2 if false else 3 }} {{ (1 if true else 2) + 3 }}
{% set x %}cap {{ 1 }}{% endset %}{{ x|upper }} {% filter upper %}abc{% endfilter %} {% with a=1, b=2 %}{{ a+b }}{% endwith %} {% set z | upper %}zz{% endset %}{{ z }}
{{ raise_exception('boom ' ~ 1) }}
{{ undefinedthing.attr }}
{{ none.attr }} {{ none.attr is defined }} {{ messages[0].nope is defined }} {{ messages[0].nope.more is defined }}
{{ messages[99] is defined }} {{ messages[0]['nope'] is none }} {{ 'str'.nope is defined }}
{{ 1 + 'a' }}
{{ 'a' + none }}
{{ strftime_now('%d %b %Y %H:%M:%S %A %-d %j %y %p %I %%') }}
{{ {'items': [1]}['items'] }} {{ {'x': {'y': 1}}.x.y }} {{ {1: 'a', 1.0: 'b', true: 'c'} }} {{ {'a': 1} == {'a': 1.0} }}
{{ "\u00e9\x41\t\\n\'" }} {{ '\101' }} {{ 'a\
b' }}
{{ 0x10 + 0b11 + 1_000 }} {{ 1.0 }} {{ 100000000000000000000 if false else 1 }} {{ 5 is odd }} {{ 4 is divisibleby 2 }} {{ 4 is divisibleby(3) }} {{ 'a' is string }} {{ 1 is number }} {{ true is number }} {{ true is integer }} {{ 1.0 is float }} {{ {} is mapping }} {{ [] is sequence }} {{ 'a' is iterable }} {{ 1 is iterable }} {{ none is none }} {{ 'a' is in 'abc' }} {{ 3 is gt 2 }} {{ 'A' is upper }}
{{ range(3)|list }} {{ range(5, 0, -2)|list }} {{ dict(a=1, b='x') }} {{ ['a','b']|join }} {{ [1,none]|join('-') }} {{ messages|length - 1 }}
{{ not true and false or true }} {{ 1 and 0 or 'x' }} {{ 2 + 3 * 4 - 1 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }} {{ 'a' ~ 1 ~ 2.5 }} {{ not 1 == 2 }}
{% if messages[-1].role == 'user' and (tools or false) %}T{% elif true %}E{% else %}N{% endif %}{{ messages|last|attr('role') }} {{ messages|map('length')|list }} {{ 'ß'.upper() }} {{ 'x'.join(['a','b']) }} {{ 'abc'.isdigit() }} {{ 'a\nb\r\nc'.splitlines() }} {{ 'pre_x'.removeprefix('pre_') }} {{ 'a=b=c'.partition('=') }}
{{ [{'n': 'b', 'v': 1}, {'n': 'a', 'v': 2}] | sort(attribute='n') | map(attribute='v') | list }} {% for g, l in [{'t': 1, 'v': 2}, {'t': 1, 'v': 3}] | groupby('t') %}{{ g }}:{{ l|map(attribute='v')|list }}{% endfor %} {{ [{'v': 2}, {'v': 3}] | sum(attribute='v') }}
{{ tools | tojson if tools else 'no' }} {{ tools is not none and tools|length > 0 }} {{ (tools or [])[0].function.parameters.properties.keys()|list|join(',') if tools }}
{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined else '^' }}{{ loop.nextitem.role if loop.nextitem is defined else '$' }}{{ loop.changed(m.role) }}{% endfor %}
{% for x in 5 %}{% endfor %}
{{ nofunc() }}
{{ 'a' < 1 }}
{{ 'x'|nofilter }}
{% include 'x' %}
{{ 'a' is nosuchtest }}
{% if %}x{% endif %}
{{ messages.append(1) }}
{{ {}.update({'a': 1}) }}
{{ 'abc'.__class__ }} {{ ''.__class__.__mro__ is defined }}""".split('\n')
# glue multi-line snippet
out=[];i=0
while i<len(snips):
    s=snips[i]
    if s.endswith("\\") : s=s+'\n'+snips[i+1]; i+=1
    out.append(s); i+=1
for n,s in enumerate(out): T['s%02d'%n]=s
cases=[]
for name,src in T.items():
    for ci,conv in enumerate(convs):
        for tl in (None,tools):
            if name.startswith('s') and name!='s' and (ci,tl) not in ((0,None),(1,tools),(3,None)): continue
            for agp in (True,False):
                v=dict(messages=conv,tools=tl,documents=None,add_generation_prompt=agp,bos_token='<s>',eos_token='</s>')
                try: r=env.from_string(src).render(**v); err=None
                except Exception as e: r=None; err=type(e).__name__+': '+str(e)
                cases.append(dict(name=name,conversation=ci,tools=tl is not None,generate=agp,want=r))
json.dump(dict(templates=T,conversations=convs,tools=tools,cases=cases),open(os.path.dirname(os.path.abspath(__file__))+'/templates.json','w'),ensure_ascii=False,indent=1)
print(len(cases), sum(c['want'] is None for c in cases))
