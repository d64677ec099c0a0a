"""What the row schemas and CSV files are tried on: inputs only, so that Flink and Penstock can both be asked.

Types are expressions over `T` (Types), column types over `D` (DataTypes), schema builders method chains.
"""

from __future__ import annotations

_JSON_VALUES = {
    "STRING": [
        '"x"',
        "5",
        "1.50",
        "1.0",
        "1e2",
        "true",
        "null",
        '{"b":1}',
        '[1.50,{"x":1e-7}]',
        '"\\u00e9\\ud83d\\ude00"',
        '"a\\u001fb\\u007f/\\b\\"\\\\"',
        "0.0",
        '"\\u2028"',
    ],
    "BOOLEAN": ["true", '"true"', '"TRUE"', '" true "', "1", "0", '"x"', "null"],
    "INT": ["5", '"5"', '" 5 "', "5.7", "1e2", "99999999999", '"abc"', "true", "null", "{}", "-2147483648", '"+5"'],
    "LONG": ["5", '"5"', "5.7", "99999999999999999999", "1e3", '""', "-9223372036854775808"],
    "SHORT": ["5", "70000", '"5"', "5.5", "5.0"],
    "BYTE": ["5", "300", '"7"', "-128"],
    "FLOAT": ["0.1", '"0.1"', "1", "1e40", "NaN", '"NaN"', "true", "16777217"],
    "DOUBLE": ["0.1", '"0.1"', "1", "1e400", '"x"', "true", '"Infinity"', "1e22", "123456789.125", "1e-5"],
    "BIG_DEC": [
        "1.50",
        '"1.50"',
        "1e2",
        "12345678901234567890.123",
        "5",
        "100",
        "100.0",
        "0.000",
        "1e-7",
        '"x"',
        "-1.20",
    ],
    "BIG_INT": ["5", "123456789012345678901234567890", '"5"', "5.5"],
    "SQL_DATE": ['"2024-02-29"', '"2024-2-9"', '"2024-02-29T00:00:00"', "5", '"2023-02-29"'],
    "SQL_TIME": ['"01:02:03Z"', '"01:02:03.123Z"', '"01:02:03"', '"01:02:03+01:00"', '"01:02Z"', '"01:02:03.000Z"'],
    "SQL_TIMESTAMP": [
        '"2024-02-29T01:02:03Z"',
        '"2024-02-29T01:02:03.456789Z"',
        '"2024-02-29 01:02:03"',
        '"2024-02-29T01:02:03+02:00"',
        '"2024-02-29T01:02:03.1Z"',
        '"2024-02-29t01:02:03z"',
        '"2024-02-29T01:02Z"',
    ],
    "INSTANT": ['"2024-02-29T01:02:03Z"', "5", "5.5", '"2024-02-29T01:02:03.4Z"', '"1969-12-31T23:59:59.5Z"'],
    "CHAR": ['"x"', '"xy"', "65"],
}
_NESTED = "R(T.ROW_NAMED(['b','c'],[T.INT(),T.STRING()]))"
JSON_CASES = [
    (f"R(T.{name}())", f'{{"a":{value}}}', {}) for name, values in _JSON_VALUES.items() for value in values
] + [
    ("R(T.PRIMITIVE_ARRAY(T.INT()))", '{"a":[1,2]}', {}),
    ("R(T.PRIMITIVE_ARRAY(T.INT()))", '{"a":[1,null]}', {}),
    ("R(T.PRIMITIVE_ARRAY(T.BYTE()))", '{"a":"aGk="}', {}),
    ("R(T.PRIMITIVE_ARRAY(T.BYTE()))", '{"a":[1,2]}', {}),
    ("R(T.PRIMITIVE_ARRAY(T.BYTE()))", '{"a":"%%"}', {}),
    ("R(T.PRIMITIVE_ARRAY(T.DOUBLE()))", '{"a":[1,2.5]}', {}),
    ("R(T.PRIMITIVE_ARRAY(T.BOOLEAN()))", '{"a":[true]}', {}),
    ("R(T.BASIC_ARRAY(T.STRING()))", '{"a":["x",null,5]}', {}),
    ("R(T.BASIC_ARRAY(T.INT()))", '{"a":[1,null]}', {}),
    ("R(T.BASIC_ARRAY(T.INT()))", '{"a":5}', {}),
    ("R(T.OBJECT_ARRAY(T.ROW_NAMED(['b'],[T.INT()])))", '{"a":[{"b":1},null]}', {}),
    ("R(T.LIST(T.INT()))", '{"a":[1,2]}', {}),
    ("R(T.MAP(T.STRING(),T.INT()))", '{"a":{"k":1,"l":null}}', {}),
    ("R(T.MAP(T.STRING(),T.INT()))", '{"a":[1]}', {}),
    ("R(T.MAP(T.STRING(),T.INT()))", '{"a":"x"}', {}),
    (_NESTED, '{"a":{"b":1}}', {}),
    (_NESTED, '{"a":5}', {}),
    (_NESTED, '{"a":{"c":"x","b":7}}', {}),
    ("R(T.INT())", "{}", {}),
    ("R(T.INT())", "[1]", {}),
    ("R(T.INT())", "5", {}),
    ("R(T.INT())", "null", {}),
    ("R(T.INT())", "", {}),
    ("R(T.INT())", '{"a":1', {}),
    ("R(T.INT())", '{"a":1} x', {}),
    ("R(T.INT())", ' \n{"a":1}', {}),
    ("R(T.STRING())", '\ufeff{"a":"x"}', {}),
    ("R(T.INT())", '{"A":1,"b":2}', {}),
    ("R(T.INT())", '{"a":1,"a":2}', {}),
    ("R(T.INT())", "{}", {"fail_on_missing_field": True}),
    ("R(T.INT())", '{"a":null}', {"fail_on_missing_field": True}),
    ("R(T.INT())", '{"a":"x"}', {"ignore_parse_errors": True}),
    ("R(T.INT())", '{"a"', {"ignore_parse_errors": True}),
    (_NESTED, '{"a":{"b":"x","c":"y"}}', {"ignore_parse_errors": True}),
    (_NESTED, '{"a":[]}', {"ignore_parse_errors": True}),
    ("T.ROW([T.INT(),T.STRING()])", '{"f0":1,"f1":"x"}', {}),
    ("T.ROW_NAMED(['a','b'],[T.STRING(),T.BIG_DEC()])", '{"a":1.50,"b":1.50}', {}),
    ("T.ROW_NAMED(['a','b'],[T.DOUBLE(),T.BIG_DEC()])", '{"a":0.1,"b":1}', {}),
]

_CSV_VALUES = {
    "STRING": [
        "x",
        "",
        " x ",
        '"x"',
        '"a,b"',
        '"a""b"',
        "null",
        '"null"',
        ' "x" ',
        'a"b',
        '"a"b',
        '"unterminated',
        "é",
        "x\n",
        '"a\nb"',
        "x\ry",
        "'x'",
        "😀",
        "#c",
        '"x" ',
        "a b",
        '""',
        "x" * 24,
        "x" * 25,
        "a\\b",
        "~",
        "!",
        "a+b",
        "5",
    ],
    "BOOLEAN": ["true", "TRUE", " true ", "1", "x", "", "null"],
    "INT": ["5", " 5 ", '"5"', "+5", "5.7", "", "x", "99999999999", "null", "-2147483648", "1_0"],
    "LONG": ["5", "9223372036854775808"],
    "SHORT": ["70000", "5"],
    "BYTE": ["300", "5", "-128"],
    "FLOAT": ["0.1", "1e10", "NaN", "1e40", "5", "Infinity", "0x1p3", "1f", "1_0", "nan"],
    "DOUBLE": ["0.1", "1e10", "1E-5", "5", "NaN", "-inf", "1d", " 2 ", ".5", "5."],
    "BIG_DEC": ["1.50", "1e2", "12345678901234567890.1230", " 1 ", "NaN"],
    "BIG_INT": ["5", "123456789012345678901234567890", "5.0"],
    "SQL_DATE": ["2024-02-29", "2024-2-9", "x"],
    "SQL_TIME": ["01:02:03", "1:2:3", "01:02:03.5"],
    "SQL_TIMESTAMP": ["2024-02-29 01:02:03", "2024-02-29 01:02:03.456", "2024-02-29T01:02:03"],
}
_STRINGS = "T.ROW([T.STRING(),T.STRING()])"
_PAIR = "T.ROW([T.INT(),T.STRING()])"
_ARRAY = "T.ROW([T.BASIC_ARRAY(T.STRING()),T.STRING()])"
CSV_CASES = [
    (f"T.ROW([T.{name}(),T.STRING()])", f"{value},z", {}) for name, values in _CSV_VALUES.items() for value in values
] + [
    (_PAIR, "1", {}),
    (_PAIR, "1,x,y", {}),
    (_PAIR, "1,x,", {}),
    (_PAIR, "1,x,,", {}),
    (_PAIR, "", {}),
    ("T.ROW([T.STRING()])", "", {}),
    ("T.ROW([T.STRING()])", "\n", {}),
    (_PAIR, "1,x\n2,y\n", {}),
    ("T.ROW([T.ROW([T.INT(),T.STRING()]),T.STRING()])", "1;x,y", {}),
    ("T.ROW([T.ROW([T.INT(),T.STRING()]),T.STRING()])", "1,y", {}),
    ("T.ROW([T.BASIC_ARRAY(T.INT()),T.STRING()])", "1;2;3,y", {}),
    (_ARRAY, "a;b;;c,y", {}),
    (_ARRAY, ",y", {}),
    (_ARRAY, '"a;b",y', {}),
    (_ARRAY, "a; b ,y", {}),
    (_ARRAY, "a|b,c", {"set_array_element_delimiter": "|"}),
    (_ARRAY, "a;N;b,N", {"set_null_literal": "N"}),
    ("T.ROW([T.PRIMITIVE_ARRAY(T.BYTE()),T.STRING()])", "aGk=,y", {}),
    (_STRINGS, "a;b", {"set_field_delimiter": ";"}),
    (_STRINGS, "#c,d", {"set_allow_comments": True}),
    (_STRINGS, "#c,d\na,b", {"set_allow_comments": True}),
    (_STRINGS, "'a,b',c", {"set_quote_character": "'"}),
    (_STRINGS, "a\\,b,c", {"set_escape_character": "\\"}),
    (_STRINGS, '"a\\"b",c\\nd', {"set_escape_character": "\\"}),
    (_STRINGS, "\\x\\t\\0\\\\,c", {"set_escape_character": "\\"}),
    (_STRINGS, "n/a,c", {"set_null_literal": "n/a"}),
    (_STRINGS, '"n/a",c', {"set_null_literal": "n/a"}),
    (_STRINGS, ",c", {"set_null_literal": ""}),
    (_PAIR, "null,c", {"set_null_literal": "null"}),
    (_PAIR, "x,c", {"set_ignore_parse_errors": True}),
    (_PAIR, "1", {"set_ignore_parse_errors": True}),
    (_PAIR, "1,2,3", {"set_ignore_parse_errors": True}),
    (_STRINGS, '"a,c', {"set_ignore_parse_errors": True}),
    (_STRINGS, "\ufeffa,c", {}),
    (_STRINGS, '"a"\t,c', {}),
]

_TEXTS = [
    "x",
    "",
    "a,b",
    'a"b',
    "a\nb",
    "a\rb",
    " x ",
    "null",
    "a;b",
    "a b",
    "#x",
    "-5",
    "é",
    "😀",
    "a\tb",
    "a'b",
    "a\\b",
]
_TEXTS += ["\x01", "a=b", "ABC_9.z", "a+b", "a|b", "~", "!", "a%b", "y" * 24, "y" * 25]
CSV_WRITE_CASES = [
    (text, options)
    for text in _TEXTS
    for options in (
        {},
        {"set_escape_character": "\\"},
        {"disable_quote_character": None},
        {"set_field_delimiter": ";"},
        {"set_quote_character": "'"},
        {"set_field_delimiter": "|", "set_line_delimiter": "\r\n"},
    )
] + [
    (None, {}),
    (None, {"set_null_literal": "NULL"}),
    ("NULL", {"set_null_literal": "NULL"}),
    ("a", {"set_line_delimiter": ""}),
]

_AB = "add_string_column('a').add_string_column('b')"
_NB = "add_number_column('a').add_string_column('b')"
_NUMBERS = {
    "TINYINT()": ["5", "300", "5.0"],
    "SMALLINT()": ["5", "70000"],
    "INT()": ["5", "-5", "5e2", "99999999999"],
    "FLOAT()": ["0.1", "1e40", "NaN", "x"],
    "DOUBLE()": ["0.1", "1e400", "5", "0x1p1"],
    "DECIMAL(5,2)": ["1.5", "1.005", "-1.005", "12345.6", "1e1", "x", "999.994", "999.995"],
    "DECIMAL(38,18)": ["1.5"],
}
CSV_FILE_CASES = (
    [
        (_AB, text)
        for text in [
            "x,y\n",
            "x,y",
            "x,y\r\nz,w\r\n",
            "x,y\rz,w",
            "\nx,y\n",
            "x,y\n\nz,w\n",
            "x\ny,z\n",
            "x,y,z\n",
            "x,y,\n",
            ",\n",
            '"a\nb",c\n',
            '"a\r\nb",c\r\n',
            '"a" ,z\n',
            '"a"x,z\n',
            '  "a",z\n',
            'a"b,z\n',
            '"a""b",z\n',
            "",
            "\ufeffx,y\n",
            "#c,d\n",
            '"",z\n',
            'x,"y',
            " \nx,y\n",
            '"a"\t,z\n',
            "null,y\n",
        ]
    ]
    + [
        (_NB, text)
        for text in [
            "5,y\n",
            " 5 ,y\n",
            '"5",y\n',
            "5.5,y\n",
            "x,y\n",
            ",y\n",
            "+5,y\n",
            "9999999999999999999,y\n",
            "1_0,y\n",
            "5\n",
        ]
    ]
    + [(f"add_number_column('a',D.{kind})", f"{value}\n") for kind, values in _NUMBERS.items() for value in values]
    + [("add_boolean_column('a')", f"{value}\n") for value in ["true", "TRUE", "1", "0", "yes", "", " true ", "x"]]
    + [("add_array_column('a')", f"{value}\n") for value in ["a;b", "", "a;;b", '"a;b"', " a ; b ", "a", ";"]]
    + [("add_array_column('a',';',D.INT())", f"{value}\n") for value in ["1;2", "1;x", "", "1;;2", " 1 ; 2 "]]
    + [
        ("add_array_column('a',';',D.BOOLEAN())", "true;false\n"),
        ("add_array_column('a',',',D.DOUBLE()).set_column_separator('|')", "1,2.5\n"),
        ("add_array_column('a',';',D.INT()).set_array_element_separator('|')", "1|2\n"),
        ("add_array_column('a').disable_array_element_separator()", "1;2\n"),
        ("add_array_column('a').remove_array_element_separator(0)", "1;2\n"),
        ("add_array_column('a').disable_array_element_separator().remove_array_element_separator(0)", "1;2\n"),
        ("set_array_element_separator('|').add_array_column('a')", "1;2\n"),
        ("set_array_element_separator('|').add_array_column('a').remove_array_element_separator(0)", "1|2;3\n"),
        (f"{_AB}.set_allow_comments()", "#c,d\nx,y\n #e,f\nz,#w\n"),
        (f"{_AB}.set_use_header()", "h1,h2\nx,y\n"),
        (f"{_AB}.set_use_header()", "b,a\nx,y\n"),
        (f"{_AB}.set_use_header()", ""),
        (f"{_AB}.set_use_header().set_strict_headers()", "h1,h2\nx,y\n"),
        (f"{_AB}.set_use_header().set_strict_headers()", "a,b\nx,y\n"),
        (f"{_AB}.set_use_header().set_strict_headers()", "a\nx,y\n"),
        (f"{_AB}.set_use_header().set_strict_headers()", "a,b,c\nx,y\n"),
        (f"{_AB}.set_use_header().set_strict_headers()", '"a", b\nx,y\n'),
        (f"{_AB}.set_strict_headers()", "h1,h2\nx,y\n"),
        (f"{_AB}.set_skip_first_data_row()", "h1,h2\nx,y\n"),
        (f"{_AB}.set_skip_first_data_row().set_use_header()", "h1,h2\nx,y\nz,w\n"),
        (f"{_AB}.set_null_value('NULL')", 'NULL,y\n"NULL",z\n,q\n'),
        (f"{_NB}.set_null_value('')", ",y\n"),
        ("add_array_column('a').set_null_value('N')", "N\na;N\n"),
        (f"{_AB}.set_any_property_name('rest')", "x,y,z\n"),
        (f"{_AB}.set_column_separator('|')", "x|y\n"),
        (f"{_AB}.set_escape_char('\\\\')", 'a\\,b,c\\nd\n"q\\"",e\\\\f\n\\x,\\t\n'),
        (f"{_AB}.disable_quote_char()", '"x",y\n'),
        (f'{_AB}.set_quote_char("\'")', "'x,1',y\n"),
        (f"{_AB}.clear_columns().add_string_column('q')", "x\n"),
    ]
)
CSV_FILE_WRITE_CASES = [
    _AB + suffix
    for suffix in [
        "",
        ".set_use_header()",
        ".set_column_separator('|')",
        ".set_quote_char('`')",
        ".disable_quote_char()",
        ".set_escape_char('\\\\')",
        ".set_null_value('NULL')",
        ".set_line_separator('\\r\\n')",
    ]
]
CSV_FILE_WRITE_ROWS = [("x", "y"), ("a,b", 'q"r'), (None, "s t"), ("a\\b", "`"), ("x" * 24, "x" * 25), ("", "")]
SCHEMA_TEXT_CASES = [
    f"{_NB}.add_array_column('l').add_boolean_column('t')",
    f"{_AB}.set_use_header().set_allow_comments()",
]
SCHEMA_TEXT_CASES += [f"{_AB}.set_any_property_name('r').set_skip_first_data_row()"]
