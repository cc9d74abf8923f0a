"""What the voices say: numbers, dates, times, spelled letters, everyday phrases and plain word lists, all in lower-case words."""

ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth
eighteenth nineteenth twentieth""".split()
MONTHS = "january february march april may june july august september october november december".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
LETTERS = "abcdefghijklmnopqrstuvwxyz"
UNITS = "meters kilometers miles feet inches minutes hours seconds days weeks months years dollars euros pounds percent degrees grams people times steps pages".split()
NAMES = "anna ben carla david emma felix grace henry james kate leo maria nina oscar paul rosa sam tina victor lucy jack peter sarah tom laura mark julia george helen robert alice william".split()

# Words that sound like others (right and write, week and weak) have one spelling here.
NOUNS = """apple baby bag ball bank basket bath bed bell bird boat book bottle box boy bread bridge brother bus butter cake camera car card carpet cat chair cheese
chicken child church city clock cloud coat coffee computer cook corner country cow cup daughter desk dinner doctor dog door dress driver egg engine evening face family
farm father field finger fire fish floor flower food foot forest fork friend fruit game garden girl glass gold grass group hair hammer hand hat head heart hill history
home horse hospital hotel house ice island job juice key kitchen knife lake lamp leaf leg lemon letter library light lion lunch machine man map market message milk
mirror money monkey moon morning mother mountain mouse mouth movie museum music nail name neck needle news night nose number nurse office oil orange paint paper
park party pen pencil phone piano picture plane plant plate pocket police potato queen question radio rain rice ring river road room rose salt school scissors sea shirt shoe
shop sister sky snow soap sock song soup spoon station stone store story street student sugar summer sun table taxi teacher television tent ticket time tomato tooth town
toy train tree trip umbrella uncle village voice wall watch water week wind window winter woman word work world year""".split()
ADJECTIVES = """angry bad beautiful big black blue bright broken brown busy cheap clean clear clever cold cool dark deep dirty dry early easy empty expensive famous fast fat fine
free fresh friendly full funny good great green grey happy hard heavy high hot hungry important kind large late lazy little long loud low lucky modern narrow new nice
old open perfect pink poor pretty quick quiet ready red rich right round sad safe short sick simple slow small soft special strange strong sweet tall thick thin tired
warm wet white wide wild wrong yellow young""".split()
VERBS = """ask bring build buy call carry catch change clean close come cook count cut dance draw drink drive eat fall feel fight find finish fly follow forget get give
go grow help hold jump keep laugh learn leave like listen live look lose love make meet move need open paint pay play pull push put remember ride run
say sell send show sing sit sleep smile speak stand start stay stop swim take talk teach tell think throw touch travel try turn use visit wait walk want wash watch win work """.split()
OTHERS = """about after again all almost always and another any away back because before behind below best better between but can could down every far first forward from
here how if in inside into just last left less maybe me more most much my near never next no not now of off often on once only or other out outside over please
quite really right same she should so some soon still than thank that the them then there these they thing this those through today together tomorrow
tonight under until up us very was we well were what when where which who will with without would yes yesterday yet your hello goodbye
forward backward left right north south east west""".split()

TEMPLATES = """turn {onoff} the {noun}|turn {side} and go {number} {unit}|go forward {number} {unit}|go {direction} {number} {unit}|go back {number} {unit}|move the {noun} to the {side}|stop|start
open the {noun}|close the {noun}|please {verb} the {noun}|can you {verb} me|could you {verb} the {adjective} {noun} please|where is the {noun}|where is my {adjective} {noun}|what time is it
what is your name|my name is {name}|hello {name} how are you|good morning {name}|good evening|good night {name}|i am fine thank you|thank you very much|you are welcome|see you {when}
i would like {number} {noun}s please|i want to {verb} a {adjective} {noun}|how much is the {noun}|it costs {number} dollars|that is {number} dollars and {number} cents|call {name}
call {name} at {time}|send a message to {name}|set a timer for {number} minutes|set an alarm for {time}|wake me up at {time}|remind me to {verb} the {noun} on {day}|play some {adjective} music
play the next song|volume up|volume down|what is the weather like {when}|it will be {adjective} {when}|it is {adjective} and {adjective} today|the train leaves at {time}|the meeting is on {day} at {time}
my birthday is on {date}|today is {day} {date}|the {noun} is {adjective}|the {adjective} {noun} is on the {noun}|the {noun} and the {noun} are {adjective}|there is a {noun} in the {noun}
there are {number} {noun}s in the {noun}|i have {number} {adjective} {noun}s|she has a {adjective} {noun}|he went to the {noun} with {name}|we will {verb} the {noun} {when}|they {verb} in the {noun} every {day}
did you {verb} the {noun}|do you like the {adjective} {noun}|i do not know|i can not {verb} the {noun}|let us {verb} together|take the {ordinal} street on the {side}|the {ordinal} {noun} is {adjective}
my phone number is {digits}|the code is {digits}|room number {number}|flight number {letters} {digits}|the number is {big}|{big} people live here|spell {letters}|the letter {letter} and the letter {letter}
my name is {name} that is {letters}|the password is {letters} {digits}|{number} plus {number} is {number}|{number} minus {number}|{number} times {number}|{number} point {digit} {digit}|{number} percent
is it {time} now|happy birthday {name}|have a nice day|how old are you|i am {number} years old|what do you want to {verb}|do not {verb} the {noun}|yes please|no thank you|i am {adjective} and {adjective}
the {noun} was built in {year}|in {year} they moved to the {noun}|{name} and {name} live in the {adjective} house|the cat is under the {noun}|the dog is behind the {adjective} {noun}
when does the {noun} open|why is the {noun} so {adjective}|who will {verb} the {noun}|which {noun} is {adjective}|it is raining|it is half past {hour}|a quarter to {hour}|ten minutes past {hour}
add {noun} and {noun} to the list|show me the way to the {noun}|how far is the {noun}|it is {number} {unit} away|look at the {adjective} {noun} over there|be careful the {noun} is {adjective}""".replace("\n", "|").split("|")


def number(n, british=False):
    """The words of 0 <= n < a million."""
    if n < 20:
        return ONES[n]
    if n < 100:
        return TENS[n // 10] + (" " + ONES[n % 10] if n % 10 else "")
    unit, name = (100, "hundred") if n < 1000 else (1000, "thousand")
    rest = n % unit
    link = " and " if british and rest and rest < 100 else " "
    return number(n // unit, british) + " " + name + (link + number(rest, british) if rest else "")


def ordinal(n):
    if n <= 20:
        return ORDINALS[n - 1]
    return "thirtieth" if n == 30 else TENS[n // 10] + " " + ORDINALS[n % 10 - 1]


def year(r):
    n = r.randint(1700, 2029)
    if 2000 <= n < 2010:
        return number(n, r.random() < 0.5)
    if n % 100 == 0:
        return number(n // 100) + " hundred"
    low = number(n % 100) if n % 100 > 9 else "oh " + ONES[n % 100]
    return number(n // 100) + " " + low


def date(r):
    month, day = r.choice(MONTHS), ordinal(r.randint(1, 31) if r.random() < 0.99 else 30)
    text = r.choice((f"{month} {day}", f"{month} the {day}", f"the {day} of {month}"))
    return text + (" " + year(r) if r.random() < 0.4 else "")


def time(r):
    hour = ONES[r.randint(1, 12)]
    minute = r.choice((number(r.randint(10, 59)), "oh " + ONES[r.randint(1, 9)], "fifteen", "thirty"))
    return r.choice((f"{hour} {minute}", f"{hour} o'clock", f"half past {hour}", f"{hour} thirty", f"{hour} {r.choice(['a m', 'p m'])}", f"{hour} {minute} {r.choice(['a m', 'p m'])}", f"quarter past {hour}"))


def digits(r, low=3, high=7):
    return " ".join(ONES[r.randrange(10)] for _ in range(r.randint(low, high)))


def letters(r, low=3, high=6):
    return " ".join(r.choice(LETTERS) for _ in range(r.randint(low, high)))


def small(r):
    p = r.random()
    return number(r.randint(0, 20) if p < 0.5 else r.randint(0, 99) if p < 0.85 else r.randint(100, 999), r.random() < 0.5)


FILL = {
    "number": small, "big": lambda r: number(r.randint(100, 999_999) if r.random() < 0.7 else r.randint(1, 99) * 1000, r.random() < 0.5), "digit": lambda r: ONES[r.randrange(10)],
    "digits": digits, "letters": letters, "letter": lambda r: r.choice(LETTERS), "unit": lambda r: r.choice(UNITS), "noun": lambda r: r.choice(NOUNS), "adjective": lambda r: r.choice(ADJECTIVES),
    "verb": lambda r: r.choice(VERBS), "name": lambda r: r.choice(NAMES), "day": lambda r: r.choice(DAYS), "date": date, "time": time, "year": year, "hour": lambda r: ONES[r.randint(1, 12)],
    "ordinal": lambda r: ordinal(r.randint(1, 12)), "side": lambda r: r.choice(("left", "right")), "direction": lambda r: r.choice("left right north south east west up down forward backward".split()),
    "onoff": lambda r: r.choice(("on", "off")), "when": lambda r: r.choice(("tomorrow", "today", "tonight", "later", "next week", "on " + r.choice(DAYS), "in the morning", "soon")),
}


NUMBERS = {"digits": lambda r: digits(r, 1, 10), "letters": letters, "date": date, "time": time, "big": FILL["big"], "small": small, "year": year,
           "day": lambda r: r.choice(DAYS) + " " + date(r)}
EVERYDAY = (0.62, 0.82, 1)  # bounds of the shares of phrases, words in no order and numbers; the rest are letters and digits
TRAINING = (0.40, 0.72, 0.90)  # more of what is hard: words that nothing foretells, and letters


def draw(r, shares=EVERYDAY):
    """One utterance in lower-case words, and its kind; single letters stand for their names."""
    p = r.random()
    if p < shares[0]:
        text = r.choice(TEMPLATES)
        while "{" in text:
            key = text[text.index("{") + 1:text.index("}")]
            text = text.replace("{" + key + "}", FILL[key](r), 1)
        return "phrase", text
    if p < shares[1]:  # words in no order: nothing can be guessed, so the sounds must be heard
        return "words", " ".join(r.choice(r.choice((NOUNS, NOUNS, ADJECTIVES, VERBS, OTHERS))) for _ in range(r.randint(1, 7)))
    if p < shares[2]:
        kind = r.choice(list(NUMBERS))
        return ("letters" if kind == "letters" else "numbers"), NUMBERS[kind](r)
    return "letters", letters(r, 2, 8) + r.choice(("", "", " " + digits(r, 1, 4)))


def phrase(r):
    """The words of one utterance."""
    return draw(r)[1]
