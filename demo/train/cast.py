"""Who the stories are about, where they happen, and what they turn on."""

# kind: names
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
