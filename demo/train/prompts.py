"""Seeded prompts for short children's stories: who, where, what happens, and a first sentence to go on from."""

HEROES = """fox:Pip Rusty Finn Ruby|rabbit:Lily Hop Clover Thumper|bear:Bruno Honey Otto Maple|cat:Mimi Whiskers Tom Luna
dog:Max Buddy Spot Daisy|mouse:Milo Nibbles Tilly Squeak|owl:Oliver Hoot Olive Wise|bird:Robin Blue Kiki Sunny
duck:Daffy Puddle Dilly Quack|frog:Freddy Lilypad Jumpy Green|turtle:Tommy Shelly Slow Myrtle|squirrel:Nutty Hazel Sam Chip
elephant:Ellie Tiny Trunky Bobo|lion:Leo Goldie King Roary|monkey:Coco Momo Charlie Bingo|horse:Star Thunder Bella Copper
sheep:Woolly Cloud Dolly Snowy|pig:Rosie Pinky Hamlet Percy|cow:Clara Bessie Moo Buttercup|hedgehog:Spike Hettie Prickles Henry
girl:Anna Mia Sophie Emma Lucy Zoe Ella Grace Nora Maya Sara Alice|boy:Ben Tim Jack Leo Sam Noah Adam Theo Max Oscar Luke Peter
robot:Beep Zap Bolt Rob|dragon:Ember Spark Puff Drago|penguin:Pingu Waddle Flip Snow|bee:Buzz Bea Honey Zuzu|whale:Wally Willa Splash Big
fairy:Bell Twinkle Petal Dew|farmer:Joe Mary Bill Rose|baker:Paul Anna Martha Carl|grandmother:Rose Ida Ruth May|king:Arthur Leo Felix Henry
princess:Rose Clara Ivy Jasmine|pirate:Jack Red Patch Molly|teacher:Green Hill Brown Lake|snowman:Frosty Carrot Cole Button""".replace("\n", "|")

NATURES = """little brave shy kind clever curious lazy happy sad lonely funny hungry small young old gentle proud careful
silly friendly quiet noisy tiny strong patient honest sleepy cheerful grumpy helpful""".split()

PLACES = """in the forest|by the river|on a farm|in a small village|near the sea|in the big city|in the garden|at school|in the park
on a hill|in the mountains|on a small island|in an old castle|at the market|in the kitchen|under a big oak tree|by the lake|in the snow
in a cosy cottage|on a ship|in the desert|in the jungle|at the beach|in the library|in a quiet valley|at the zoo|on the moon|in a cave
in the meadow|at grandmother's house|behind the barn|in the toy shop""".replace("\n", "|").split("|")

THINGS = """a red kite|a lost key|a golden coin|a broken toy|a blue ball|a magic seed|a big cake|a small boat|an old map|a warm scarf|a shiny stone
a silver bell|a lost puppy|a new bike|a little drum|a paper plane|a secret door|a yellow umbrella|a pot of honey|a picture book|a tall ladder|a wooden box
a green hat|a lost letter|a red apple|a pair of shoes|a garden flower|a bright star|a music box|a soft blanket|a lantern|a toy train|a basket of berries
a birthday present|a snowball|a rainbow|a loaf of bread|a strange egg|a feather|a treasure chest|a bucket of paint|a jar of cookies|a big puddle|a stuffed bear
a telescope|a tent|a bridge|a swing|a sandcastle|a wishing well""".replace("\n", "|").split("|")

EVENTS = """finds {thing}|loses {thing}|wants to share {thing}|makes a new friend because of {thing}|gets lost in the rain and finds {thing}
helps a friend who lost {thing}|learns to be brave and gets {thing}|builds something with {thing}|wants {thing} more than anything|hides {thing} from a friend
breaks {thing} and says sorry|gives {thing} to someone who is sad|goes on a trip with {thing}|has a funny day with {thing}|tries to fix {thing}
hears a strange noise and discovers {thing}|must choose between a friend and {thing}|plans a surprise party with {thing}|wins a race and gets {thing}
is afraid of the dark but has {thing}""".replace("\n", "|").split("|")

LESSONS = """being kind|telling the truth|sharing|never giving up|helping others|trying new things|being patient|saying sorry|working together|being brave
listening to others|taking care of nature|saying thank you|believing in yourself|making friends""".replace("\n", "|").split("|")

OPENINGS = """Once upon a time, there was a {nature} {kind} named {name}. {name} lived {place}.
Once upon a time, a {nature} {kind} named {name} lived {place}.
One sunny morning, {name} the {kind} woke up early.
One day, a {nature} {kind} named {name} found {thing} {place}.
{name} was a {nature} {kind}. Every day, {name} played {place}.
{name} the {kind} loved {thing}.
It was a cold winter day {place}. {name} the {nature} {kind} looked out of the window.
There once was a {nature} {kind} called {name}.
"Look what I found!" said {name} the {kind}. It was {thing}.
{name} the {kind} was very sad.
On a warm summer evening, {name} the {kind} sat {place}.
Long ago, a {nature} {kind} named {name} wanted {thing}.
Every morning, {name} the {kind} walked {place}.
It was raining {place}. {name}, a {nature} {kind}, did not know what to do.
{name} and her friend were playing {place}.
The {nature} {kind} had a secret. {name} had found {thing}.
Last night, {name} the {kind} could not sleep.
"Can you help me?" asked {name}, the {nature} {kind}.
Today was a special day for {name} the {kind}.
Deep in the woods, a {nature} {kind} named {name} had a dream.""".split("\n")


def make(rng):
    """Return one request and the beginning of its answer."""
    kind, names = rng.choice(HEROES.split("|")).split(":")
    name, nature, place, thing = rng.choice(names.split()), rng.choice(NATURES), rng.choice(PLACES), rng.choice(THINGS)
    event = rng.choice(EVENTS).format(thing=thing)
    lesson = f" The story is about {rng.choice(LESSONS)}." if rng.random() < 0.6 else ""
    request = (f"Write a very short story for young children. Use simple words and short sentences. The story happens {place}. "
               f"{name} is a {nature} {kind} who {event}.{lesson} Write about 120 words and give the story a clear ending.")
    opening = rng.choice(OPENINGS).format(name=name, kind=kind, nature=nature, place=place, thing=thing)
    return request, opening.replace("a old", "an old").replace("a honest", "an honest")
