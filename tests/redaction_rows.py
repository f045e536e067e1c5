"""Rows to judge a redactor by, the same for the same seed: dirty ones with what must go, clean ones that must stay.

Written from the public descriptions of each format, by hand, without a look at the redactor's patterns. Every value
is random; none was ever valid anywhere.
"""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LETTERS = string.ascii_letters
ALNUM = LETTERS + string.digits
HEX = "0123456789abcdef"
B64 = ALNUM + "+/"
B64URL = ALNUM + "-_"
BASE32 = string.ascii_uppercase + "234567"


@dataclass(frozen=True)
class Row:
    """One message; `gone` must not survive in it, `kind` and `is_credential` say what it is."""

    text: str
    kind: str
    gone: tuple[str, ...] = ()
    is_credential: bool = False


def pick(rng: random.Random, alphabet: str, least: int, most: int = 0) -> str:
    return "".join(rng.choices(alphabet, k=rng.randint(least, max(least, most))))


def of(rng: random.Random, *choices: str) -> str:
    return rng.choice(choices)


# --- tokens: (prefix, alphabet, length) as their issuers describe them ----------------------------------------

TOKENS: dict[str, Callable[[random.Random], str]] = {
    "hub": lambda r: "hf_" + pick(r, LETTERS, 34),
    "hub org": lambda r: "api_org_" + pick(r, LETTERS, 34),
    "github": lambda r: of(r, "ghp_", "gho_", "ghu_", "ghs_", "ghr_") + pick(r, ALNUM, 36),
    "github fine": lambda r: "github_pat_" + pick(r, ALNUM, 22) + "_" + pick(r, ALNUM, 59),
    "gitlab": lambda r: of(r, "glpat-", "gldt-", "glrt-") + pick(r, ALNUM, 20),
    "aws id": lambda r: of(r, "AKIA", "ASIA") + pick(r, BASE32, 16),
    "slack bot": lambda r: f"xoxb-{pick(r, '123456789', 12)}-{pick(r, '123456789', 13)}-{pick(r, ALNUM, 24)}",
    "slack user": lambda r: (
        f"xoxp-{pick(r, '123456789', 12)}-{pick(r, '123456789', 12)}-{pick(r, '123456789', 13)}-{pick(r, HEX, 32)}"
    ),
    "slack app": lambda r: (
        f"xapp-1-A{pick(r, string.ascii_uppercase, 10)}-{pick(r, '123456789', 13)}-{pick(r, HEX, 64)}"
    ),
    "slack hook": lambda r: (
        f"https://hooks.slack.com/services/T{pick(r, string.ascii_uppercase, 8)}/B{pick(r, string.ascii_uppercase, 8)}/"
        + pick(r, ALNUM, 24)
    ),
    "google key": lambda r: "AIza" + pick(r, B64URL, 35),
    "google client": lambda r: "GOCSPX-" + pick(r, ALNUM, 28),
    "google oauth": lambda r: "ya29." + pick(r, B64URL, 68, 120),
    "openai": lambda r: f"sk-{pick(r, ALNUM, 20)}T3BlbkFJ{pick(r, ALNUM, 20)}",
    "openai project": lambda r: f"sk-proj-{pick(r, ALNUM, 48)}T3BlbkFJ{pick(r, ALNUM, 48)}",
    "anthropic": lambda r: "sk-ant-api03-" + pick(r, B64URL, 93) + "AA",
    "npm": lambda r: "npm_" + pick(r, ALNUM, 36),
    "pypi": lambda r: "pypi-AgEIcHlwaS5vcmc" + pick(r, B64URL, 80, 120),
    "docker hub": lambda r: "dckr_pat_" + pick(r, ALNUM, 27),
    "stripe": lambda r: of(r, "sk_live_", "rk_live_") + pick(r, ALNUM, 24),
    "sendgrid": lambda r: f"SG.{pick(r, B64URL, 22)}.{pick(r, B64URL, 43)}",
    "vault": lambda r: "hvs." + pick(r, ALNUM, 24, 90),
    "digitalocean": lambda r: "dop_v1_" + pick(r, HEX, 64),
    "terraform": lambda r: f"{pick(r, ALNUM, 14)}.atlasv1.{pick(r, ALNUM, 60, 70)}",
    "telegram": lambda r: f"{pick(r, '123456789', 10)}:AA{pick(r, ALNUM, 33)}",
    "openshift": lambda r: "sha256~" + pick(r, B64URL, 43),
    "age": lambda r: "AGE-SECRET-KEY-1" + pick(r, "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "jwt": lambda r: jwt(r),
    "grafana": lambda r: f"glsa_{pick(r, ALNUM, 32)}_{pick(r, HEX, 8)}",
    "tailscale": lambda r: f"tskey-auth-{pick(r, ALNUM, 12)}-{pick(r, ALNUM, 32)}",
}

TOKEN_CONTEXTS = (
    "my token {} stopped working on the hypervisor",
    "export TOKEN={}",
    "I put {} into the inventory, is that right?",
    'curl -H "Authorization: Bearer {}" http://127.0.0.1:8080/api',
    "error: invalid credential '{}' (401)",
    "`{}`",
    "{}",
    "api_token: {}  # from the vault",
    'headers = {{"PRIVATE-TOKEN": "{}"}}',
    "login failed with ({}), then I retried.",
    "Why is {}, which I made yesterday, refused?",
    "oc login --token={} --server=https://127.0.0.1:6443",
)


def jwt(rng: random.Random) -> str:
    def part(tree: Mapping[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(tree, separators=(",", ":")).encode()).decode().rstrip("=")

    head = {"alg": of(rng, "HS256", "RS256", "ES256"), "typ": "JWT"}
    body = {"sub": pick(rng, string.digits, 10), "name": pick(rng, LETTERS, 8), "iat": rng.randint(10**9, 2 * 10**9)}
    return f"{part(head)}.{part(body)}.{pick(rng, B64URL, 43)}"


def token(rng: random.Random) -> Row:
    kind = rng.choice(sorted(TOKENS))
    value = TOKENS[kind](rng)
    return Row(rng.choice(TOKEN_CONTEXTS).format(value), f"token: {kind}", (value,), True)


# --- passwords and other keys that only their surroundings give away -------------------------------------------


def password(rng: random.Random) -> str:
    """As people make them: words with numbers and signs, or a manager's random ones."""
    word = of(rng, "Sommer", "tiger", "Kernel", "banana", "Munich", "hunter", "dragon", "Qwerty", "winter", "r3dh4t")
    return of(
        rng,
        f"{word}{rng.randint(10, 9999)}!",
        f"{word.capitalize()}-{of(rng, 'blau', 'rocket', 'stone')}-{rng.randint(10, 99)}",
        pick(rng, ALNUM, 12, 24),
        pick(rng, ALNUM + "!#%&*+-=?@^_~", 14, 20).strip("-=&@#?") + "x9",
        f"{word}@{rng.randint(1970, 2026)}",
        f"{word}{rng.randint(100, 999)}",
    )


PASSWORD_CONTEXTS = (
    "password={}",
    "password: {}",
    'password: "{}"',
    "DB_PASSWORD='{}'",
    "export ADMIN_PASSWORD={}",
    "ansible_become_pass: {}",
    "ansible_ssh_pass={} ansible_user=root",
    '{{"user": "admin", "password": "{}"}}',
    "vault_admin_passwd: {}",
    "freeipa_admin_password: {}\nfreeipa_realm: EXAMPLE.COM",
    "subscription-manager register --username alice --password {}",
    "subscription-manager register --username=alice --password='{}'",
    "sshpass -p '{}' ssh root@192.0.2.10",
    "sshpass -p {} scp disk.qcow2 root@192.0.2.10:/tmp",
    "mysql -u root -p{} qubinode",
    "curl -u admin:{} https://127.0.0.1:8443/api",
    'curl --user "admin:{}" https://127.0.0.1:8443/api',
    "ipmitool -I lanplus -H 192.0.2.7 -U ADMIN -P {} power status",
    "redis-cli -a {} ping",
    "the root password is {} and it still says access denied",
    "My password: {} - what is wrong with it?",
    "I log in as admin with password {} on the console",
    "Passwort: {}",
    "Das Kennwort lautet {} und geht nicht.",
    "contraseña: {}",
    "La contraseña es {} y no funciona",
    "mot de passe : {}",
    "Le mot de passe est {} mais ça échoue",
    "senha: {}",
    "A senha é {} e não entra",
    "パスワード: {}",
    "パスワードは {} です",
    "rootpw --plaintext {}",
    "machine git.example.com login bob password {}",
    'echo "root:{}" | chpasswd',
    "Server=127.0.0.1;Database=cmdb;User Id=sa;Password={};Encrypt=true",
    "<password>{}</password>",
    "client_secret={}",
    "secret_key: {}",
    "virt-customize -a rhel9.qcow2 --root-password password:{}",
    "passphrase = {}",
    "cloud_passwd={} cloud_user=core",
    "AIRFLOW__CORE__FERNET_PASS={}",
    "nmcli device wifi connect LAB password {}",
    "spring.datasource.password={}",
    "pwd={}",
)


def password_row(rng: random.Random) -> Row:
    value = password(rng)
    return Row(rng.choice(PASSWORD_CONTEXTS).format(value), "password", (value,), True)


def keyed(rng: random.Random) -> Row:
    """Random keys in the places where such keys stand."""
    value, text = rng.choice(
        [
            (v := pick(rng, B64, 40), f"aws_secret_access_key = {v}"),
            (v := pick(rng, B64, 40), f"AWS_SECRET_ACCESS_KEY={v} terraform apply"),
            (v := pick(rng, B64, 86) + "==", f"DefaultEndpointsProtocol=https;AccountName=lab;AccountKey={v};"),
            (v := pick(rng, ALNUM, 32, 48), f"X-Api-Key: {v}"),
            (v := pick(rng, ALNUM, 32, 48), f"api_key: '{v}'"),
            (v := pick(rng, HEX, 32), f"export OPENWEATHER_APIKEY={v}"),
            (v := pick(rng, B64, 43) + "=", f"[Interface]\nPrivateKey = {v}\nListenPort = 51820"),
            (v := pick(rng, B64, 43) + "=", f"PresharedKey = {v}"),
            (v := pick(rng, ALNUM, 24, 40), f"Authorization: Bearer {v}"),
            (
                v := base64.b64encode(f"admin:{pick(rng, ALNUM, 14)}".encode()).decode(),
                f'curl -H "Authorization: Basic {v}"',
            ),
            (
                v := base64.b64encode(f"{pick(rng, LETTERS, 8)}:{pick(rng, ALNUM, 30)}".encode()).decode(),
                json.dumps({"auths": {"cloud.openshift.com": {"auth": v}}}),
            ),
            (v := pick(rng, HEX, 40), f"Cookie: sessionid={v}; theme=dark"),
            (v := pick(rng, ALNUM, 43), f"http://127.0.0.1:8888/lab?token={v}"),
            (v := pick(rng, HEX, 64), f"GET /bucket/disk.img?X-Amz-Signature={v}&X-Amz-Expires=60"),
            (
                v := pick(rng, string.ascii_lowercase + string.digits, 6)
                + "."
                + pick(rng, string.ascii_lowercase + string.digits, 16),
                f"kubeadm join 192.0.2.4:6443 --token {v}",
            ),
            (v := f"$6${pick(rng, ALNUM, 16)}${pick(rng, ALNUM + './', 86)}", f"root:{v}:19700:0:99999:7:::"),
            (v := f"$6${pick(rng, ALNUM, 8)}${pick(rng, ALNUM + './', 86)}", f"rootpw --iscrypted {v}"),
            (
                v := f"$2b$12${pick(rng, ALNUM + './', 53)}",
                f'htpasswd: "admin:{v}"',
            ),
            (v := pick(rng, B64, 43) + "=", f"AIRFLOW__CORE__FERNET_KEY={v}"),
            (v := pick(rng, ALNUM, 32), f"activation_key: {v}"),
            (
                v := str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                f"client_secret: {v}",
            ),
        ]
    )
    return Row(text, "key in context", (value,), True)


def url(rng: random.Random) -> Row:
    value = pick(rng, ALNUM + "-_.!", 8, 20).strip(".-!") + "k7"
    user = of(rng, "admin", "svc-deploy", "alice", "root", "bot")
    text = of(
        rng,
        f"git clone https://{user}:{value}@github.com/acme/inventory.git",
        f"postgresql://{user}:{value}@127.0.0.1:5432/airflow",
        f"AIRFLOW_CONN=mysql://{user}:{value}@db/airflow is set",
        f"redis://:{value}@localhost:6379/0",
        f"amqp://{user}:{value}@127.0.0.1:5672//",
        f"the proxy is http://{user}:{value}@proxy.example.com:3128 for dnf",
        f"git remote set-url origin https://{value}@github.com/acme/inventory.git",
        f"ftp://{user}:{value}@192.0.2.9/iso/",
        f"mongodb+srv://{user}:{value}@cluster0.example.net/cmdb?retryWrites=true",
        f"ldap bind: ldaps://{user}:{value}@192.0.2.30:636",
    )
    return Row(text, "URL credential", (value,), True)


def pem(rng: random.Random) -> Row:
    kind = of(rng, "RSA ", "EC ", "OPENSSH ", "", "ENCRYPTED ", "DSA ")
    lines = [pick(rng, B64, 64) for _ in range(rng.randint(3, 12))] + [pick(rng, B64, 20) + "=="]
    begin, end = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    body = tuple(lines)
    text = of(
        rng,
        "\n".join([begin, *lines, end]),
        "my key is\n" + "\n".join([begin, *lines, end]) + "\nand ssh refuses it",
        "ssh_private_key: |\n" + "\n".join("  " + line for line in [begin, *lines, end]),
        json.dumps({"type": "service_account", "private_key": "\n".join([begin, *lines, end]) + "\n"}),
        "\n".join([begin, *lines]),  # cut off before its end
        "\r\n".join([begin, *lines, end]),
        "> " + "\n> ".join([begin, *lines, end]),
    )
    if rng.random() < 0.15:
        text = "\n".join(
            [
                "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----",  # in two pieces, so that no scanner takes it for a key
                "",
                *lines,
                "=" + pick(rng, B64, 4),
                "-----END PGP PRIVATE KEY BLOCK-----",
            ]
        )
    if rng.random() < 0.1:
        digits = tuple(pick(rng, string.digits, 80) for _ in range(4))
        return Row("$ANSIBLE_VAULT;1.1;AES256\n" + "\n".join(digits), "vault block", digits, True)
    return Row(text, "private key", body, True)


# --- personal data and places ------------------------------------------------------------------------------------

FIRST = ("jane", "mehmet", "olga", "liu", "pedro", "aiko", "fatima", "sven", "zoe", "kwame", "jürgen", "chloe")
LAST = ("doe", "yilmaz", "petrova", "wei", "santos", "tanaka", "haddad", "larsson", "okafor", "brandt", "moreau")
COMPANIES = ("acme-industries", "contoso", "northwind-bank", "umbra-labs", "fjordkraft", "kumo-systems", "bluepeak")
SUFFIXES = ("com", "de", "co.uk", "io", "fr", "com.br", "co.jp", "es", "net", "org", "eu", "cloud")


def email(rng: random.Random) -> Row:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    local = of(rng, f"{first}.{last}", f"{first[0]}{last}", f"{first}_{last}{rng.randint(1, 99)}", f"{first}+lab")
    domain = of(rng, "gmail.com", "outlook.com", "web.de", f"{rng.choice(COMPANIES)}.{rng.choice(SUFFIXES)}",
                f"mail.{rng.choice(COMPANIES)}.{rng.choice(SUFFIXES)}", "yahoo.co.jp", "proton.me")  # fmt: skip
    value = f"{local}@{domain}"
    text = of(
        rng,
        "please answer to {}",
        "From: " + first.title() + " <{}>\nSubject: libvirtd fails",
        "git config user.email {}",
        "mailto:{}?subject=help",
        "({}) reported it",
        "contact: {}, phone unknown",
        "The account {} cannot log in to Airflow.",
        "Signed-off-by: " + first.title() + " <{}>",
        'export ADMIN_EMAIL="{}"',
        "{}",
    ).format(value)
    return Row(text, "e-mail", (value,))


def phone(rng: random.Random) -> Row:
    d = string.digits
    n = "23456789"
    value, needs_cue = rng.choice(
        [
            (f"+1 {rng.choice((212, 415, 312, 617, 206))}-{pick(rng, n, 1)}{pick(rng, n, 2)}-{pick(rng, d, 4)}", False),
            (f"({rng.choice((212, 415, 312, 617, 206))}) {pick(rng, n, 3)}-{pick(rng, d, 4)}", True),
            (f"{rng.choice((212, 415, 312, 617, 206))}-{pick(rng, n, 3)}-{pick(rng, d, 4)}", True),
            (f"+49 30 {pick(rng, n, 4)}{pick(rng, d, 4)}", False),
            (f"+49 151 {pick(rng, n, 4)} {pick(rng, d, 4)}", False),
            (f"0171 {pick(rng, n, 3)}{pick(rng, d, 4)}", True),
            (f"+44 20 7946 {pick(rng, d, 4)}", False),
            (f"07700 900{pick(rng, d, 3)}", True),
            (f"+33 6 {pick(rng, d, 2)} {pick(rng, d, 2)} {pick(rng, d, 2)} {pick(rng, d, 2)}", False),
            (f"06 {pick(rng, n, 2)} {pick(rng, d, 2)} {pick(rng, d, 2)} {pick(rng, d, 2)}", True),
            (f"+34 6{pick(rng, d, 2)} {pick(rng, d, 3)} {pick(rng, d, 3)}", False),
            (f"+55 11 9{pick(rng, n, 4)}-{pick(rng, d, 4)}", False),
            (f"(11) 9{pick(rng, n, 4)}-{pick(rng, d, 4)}", True),
            (f"+81 90-{pick(rng, n, 4)}-{pick(rng, d, 4)}", False),
            (f"090-{pick(rng, n, 4)}-{pick(rng, d, 4)}", True),
            (f"+91 98{pick(rng, d, 3)} {pick(rng, d, 5)}", False),
            (f"+4930{pick(rng, n, 4)}{pick(rng, d, 4)}", False),
            (f"+1{rng.choice((212, 415, 312, 617, 206))}{pick(rng, n, 3)}{pick(rng, d, 4)}", False),
            (f"0049 30 {pick(rng, n, 4)}{pick(rng, d, 4)}", False),
        ]
    )
    cued = ("call me at {}", "Tel.: {}", "phone {} during office hours", "my mobile is {}", "Telefon {}",
            "teléfono: {}", "電話 {}", "Téléphone : {}", "celular {}", "WhatsApp: {}", "phone: {}")  # fmt: skip
    bare = ("the on-call person has {}", "reach the lab under {} please", "{}", "Jane, {}, owns that host")
    return Row(rng.choice(cued if needs_cue else cued + bare).format(value), "phone", (value,))


def ipv4(rng: random.Random) -> Row:
    b = rng.randint
    value = of(
        rng,
        f"10.{b(1, 250)}.{b(0, 250)}.{b(2, 250)}",
        f"192.168.{b(0, 121)}.{b(2, 250)}",
        f"172.{b(17, 29)}.{b(0, 250)}.{b(2, 250)}",
        f"{rng.choice((18, 34, 52, 85, 91, 139, 151, 178, 213))}.{b(1, 250)}.{b(0, 250)}.{b(2, 250)}",
        f"100.{b(64, 127)}.{b(0, 250)}.{b(2, 250)}",
    )
    text = of(
        rng,
        "the hypervisor is at {}",
        "ssh admin@{}",
        "ping {} fails",
        "http://{}:8080/home",
        "ip addr: inet {}/24 brd",
        "ansible_host={}",
        "from {} port 51514 ssh2",
        "nameserver {}",
        "({})",
        "{},",
        "server_ip: '{}'",
        "route add default gw {}.",
        "host[{}] unreachable",
        "scp disk.qcow2 root@{}:/var/lib/libvirt/images/",
        "Connection to {} closed by remote host",
    ).format(value)
    return Row(text, "IPv4", (value,))


def ipv6(rng: random.Random) -> Row:
    def group() -> str:
        return f"{rng.randint(0x10, 0xFFFF):x}"

    value = of(
        rng,
        f"fd{pick(rng, HEX, 2)}:{group()}:{group()}::{group()}",
        f"fe80::5054:ff:fe{pick(rng, HEX, 2)}:{group()}",
        f"2a01:4f8:{group()}:{group()}::{rng.randint(1, 9)}",
        f"2606:{group()}:{group()}:{group()}:{group()}:{group()}:{group()}:{group()}",
        f"2a02:{group()}::{group()}:{group()}",
    )
    text = of(
        rng,
        "inet6 {}/64 scope global",
        "ping6 {}",
        "http://[{}]:8080/",
        "the guest has {} and no IPv4",
        "{}%br0",
        "listening on [{}]:443",
        "AAAA {}",
    ).format(value)
    return Row(text, "IPv6", (value,))


def luhn_digit(digits: str) -> str:
    """The check digit, from the right: every second digit doubled, crosswise sum, to the next ten."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (2 if place % 2 == 0 else 1)
        total += number - 9 if number > 9 else number
    return str(-total % 10)


def card(rng: random.Random) -> Row:
    start, length = rng.choice(
        [("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16), ("3528", 16)]
    )
    digits = start + pick(rng, string.digits, length - len(start) - 1)
    digits += luhn_digit(digits)
    groups = (4, 6, 5) if length == 15 else (4, 4, 4, 4)
    parts, at = [], 0
    for size in groups:
        parts.append(digits[at : at + size])
        at += size
    value = of(rng, digits, " ".join(parts), "-".join(parts))
    text = of(
        rng,
        "card {} was charged twice",
        "my credit card number is {}",
        "pay with {} exp 11/28",
        "{}",
        "Kreditkarte: {}",
        "pan={}",
    )
    return Row(text.format(value), "card", (value,))


def home(rng: random.Random) -> Row:
    name = of(
        rng, rng.choice(FIRST), rng.choice(FIRST)[0] + rng.choice(LAST), f"{rng.choice(FIRST)}.{rng.choice(LAST)}"
    )
    text = of(
        rng,
        "/home/{}/qubinode_navigator/setup.sh: Permission denied",
        "cp /home/{}/.ssh/id_rsa.pub .",
        "/Users/{}/Downloads/rhel-10.iso",
        r"C:\Users\{}\Documents\inventory.yml",
        "/var/home/{}/lab",
        'File "/home/{}/venv/lib/python3.12/site-packages/ansible/cli.py", line 12',
        "cd /home/{} && ls",
        "HOME=/home/{}",
        "/export/home/{}/logs",
        "file:///home/{}/notes.md",
    ).format(name)
    return Row(text, "home path", (name,))


def host(rng: random.Random) -> Row:
    company = rng.choice(COMPANIES)
    machine = of(rng, "kvm", "db", "vault", "jump", "hv", "ocp-master", "gitlab", "build", "esx", "dc", "backup")
    name = f"{machine}{rng.randint(1, 40):02}"
    value = of(
        rng,
        f"{name}.{company}.internal",
        f"{name}.corp.{company}.com",
        f"{name}.{of(rng, 'lan', 'local', 'intranet', 'home', 'corp', 'localdomain', 'home.arpa')}",
        f"{name}.prod.{company}.{of(rng, 'com', 'de', 'io')}",
        f"{machine}.int.{company}.net",
        f"{name}.{of(rng, 'fra', 'us-east', 'dc2')}.{company}.com",
        f"vpn.{company}.com",
        f"ipa{rng.randint(1, 3)}.{company}.local",
    )
    text = of(
        rng,
        "ssh {} times out",
        "the host {} does not resolve",
        "Host {}\n  User root",
        "https://{}:8443/login shows a certificate error",
        "[hypervisors]\n{} ansible_user=root",
        "ping: {}: Name or service not known",
        "virsh -c qemu+ssh://root@{}/system list",
        "FQDN: {}",
        "Failed to connect to {} port 443",
        "server {} iburst",
    ).format(value)
    return Row(text, "private host", (value,))


def prompt_host(rng: random.Random) -> Row:
    """Short names, which only the place where they stand gives away."""
    value = f"{of(rng, 'kvm', 'lab', 'srv', 'hv', 'node')}-{of(rng, 'berlin', 'prod', 'rack2', 'jane')}-{rng.randint(1, 30):02}"
    text = of(
        rng,
        "[root@{} ~]# virsh list --all",
        "admin@{}:~$ sudo dnf update",
        "ssh root@{} uptime",
        "Nov 25 10:01:02 {} libvirtd[812]: operation failed",
        "hostname: {}",
        "HOSTNAME={}",
        "hostnamectl set-hostname {}",
        "scp a.iso core@{}:/tmp/",
    ).format(value)
    return Row(text, "host in a prompt", (value,))


CREDENTIALS: tuple[tuple[Callable[[random.Random], Row], int], ...] = (
    (token, 110), (password_row, 95), (keyed, 45), (url, 25), (pem, 25),
)  # fmt: skip
PERSONAL: tuple[tuple[Callable[[random.Random], Row], int], ...] = (
    (email, 35), (phone, 35), (ipv4, 35), (ipv6, 20), (card, 20), (home, 20), (host, 25), (prompt_host, 10),
)  # fmt: skip

BEFORE = (
    "",
    "",
    "",
    "Hi, I followed the RHEL 10 guide. ",
    "Deploying with qubinode_navigator fails:\n",
    "On a fresh Rocky 9.4 host:\n",
    "wrong answer. ",
    "Ich habe ein Problem: ",
    "Hola, ",
)
AFTER = ("", "", "", " Thanks!", "\nWhat am I missing?", "\nkernel 5.14.0-427.el9.x86_64", " (since yesterday)")


def dirty_rows(seed: int = 1) -> list[Row]:
    """500 messages with something in them that must go."""
    rng = random.Random(seed)
    rows = [make(rng) for make, count in (*CREDENTIALS, *PERSONAL) for _ in range(count)]
    rng.shuffle(rows)
    return [
        Row(rng.choice(BEFORE) + row.text + rng.choice(AFTER), row.kind, row.gone, row.is_credential) for row in rows
    ]


# --- clean rows ------------------------------------------------------------------------------------------------

SENTENCES = (
    "Reset the password with `passwd` and log in again.",
    "The password policy asks for twelve characters.",
    "Which token does the Hub need, and where do I store the secret?",
    "Use ansible-vault to keep passwords and tokens out of git.",
    "password: <your password>",
    'password: "{{ vault_admin_password }}"',
    "password: {{ lookup('env', 'ADMIN_PASSWORD') }}",
    "export ADMIN_PASSWORD=$(pass show lab/admin)",
    "PASSWORD=${DB_PASSWORD}",
    "subscription-manager register --username <user> --password <password>",
    "token: your_token_here",
    "HF_TOKEN=hf_xxxxxxxxxxxxxxxxxxxx",
    "--password-file /etc/qubinode/secret",
    "ssh-keygen -t ed25519 -f ~/.ssh/id_ed25519",
    "The secret is mounted from secretKeyRef name: db-credentials, key: password.",
    "kind: Secret\nmetadata:\n  name: pull-secret",
    "max_tokens: 512\ntemperature: 0.2",
    "Tokens per second: 7.1, first token after 3.2 s",
    "The user forgot the password, the key expired and the token was revoked.",
    "git clone git@github.com:Qubinode/qubinode_navigator.git",
    "systemctl status user@1000.service getty@tty1.service",
    "systemctl enable --now libvirtd.service cockpit.socket",
    "write to admin@example.com or ops@lab.example.org",
    "virsh net-dumpxml default shows 192.168.122.1 with netmask 255.255.255.0",
    "<ip address='192.168.122.1' netmask='255.255.255.0'>",
    "nameserver 8.8.8.8\nnameserver 1.1.1.1",
    "listen on 0.0.0.0:8080 and [::]:8080",
    "curl http://127.0.0.1:7860/healthz",
    "ping ::1 and localhost answer",
    "cluster_network: 10.128.0.0/14, service network 172.30.0.0/16",
    "reserve 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 for labs",
    "forward 192.168.122.0/24 to br0",
    "curl http://169.254.169.254/latest/meta-data/",
    "https://docs.redhat.com/en/documentation/red_hat_enterprise_linux/10",
    "registry.redhat.io/ubi9/python-312:latest",
    "quay.io/openshift/origin-cli:4.15",
    "https://api.openshift.com/api/assisted-install/v2/openapi",
    "QUBINODE_DOMAIN=lab.example.com",
    "api.ocp4.example.com:6443",
    "hostname: hypervisor.example.com",
    "/var/lib/libvirt/images/rhel10.qcow2",
    "/home/lab-user/qubinode_navigator",
    "/home/cloud-user/.ssh/authorized_keys",
    "/home/user/app/.data",
    "ls /home and /root",
    "ansible.builtin.copy and community.libvirt.virt are modules",
    "podman run --rm -p 8080:8080 -v data:/data:Z IMAGE",
    "mkdir -p /opt/qubinode && cp -p a b",
    "ssh -p 2222 root@192.0.2.15",
    "rsync -a --delete src/ dst/",
    "nmcli con add type bridge con-name br0 ifname br0",
    "Python 3.12.4 on linux; gcc (GCC) 11.4.1 20231218",
    "Which keys does the API key rotation guide name?",
    "The card shows 4 cores, 16 GB and 200 GB of disk",
    "phone home is off by default (POSTHOG_DISABLED=1)",
    "RFC 6598 and RFC 1918 describe these ranges",
    "Ist das Passwort nötig?",
    "¿Dónde cambio la contraseña?",
    "Où est le mot de passe par défaut ?",
    "パスワードはどこで変更しますか？",
    "Onde fica a senha padrão?",
    "pass the --extra-vars flag; pass: 12, fail: 0",
    "secret: false\nrequired: true",
    "password_hash('sha512')",
    "password_authentication: no",
    "PasswordAuthentication no\nPermitRootLogin prohibit-password",
    "no_log: true  # keeps the password out of the output",
    "auth: none",
    "api_key is required",
    "tokenizer: gpt2, pre-tokenizer: dbrx",
    "password = getpass.getpass()",
    'password = os.environ["ADMIN_PASSWORD"]',
    "Enter passphrase (empty for no passphrase):",
    "sudo: a password is required",
    "Permission denied (publickey,password).",
)


def clean_row(rng: random.Random) -> Row:
    b = rng.randint
    makers: list[Callable[[], tuple[str, str]]] = [
        lambda: ("version", f"kernel-{b(4, 6)}.{b(0, 19)}.0-{b(100, 600)}.{b(1, 60)}.1.el{b(8, 10)}_{b(0, 6)}.x86_64"),
        lambda: ("version", f"{of(rng, 'ansible-core', 'podman', 'libvirt', 'qemu-kvm', 'cockpit')} {b(1, 20)}.{b(0, 20)}.{b(0, 30)}"),
        lambda: ("version", f"OpenShift 4.{b(10, 20)}.{b(0, 60)}{of(rng, '', '-rc.1', '-ec.3')} is supported"),
        lambda: ("version", f"openvswitch version {b(1, 3)}.{b(0, 20)}.{b(0, 9)}.{b(0, 9)}"),
        lambda: ("version", f"v{b(0, 3)}.{b(0, 40)}.{b(0, 9)}+{pick(rng, HEX, 7)}"),
        lambda: ("version", f"python3-libvirt-{b(5, 10)}.{b(0, 9)}.0-{b(1, 9)}.el9.noarch.rpm"),
        lambda: ("hash", f"sha256:{pick(rng, HEX, 64)}"),
        lambda: ("hash", f"{pick(rng, HEX, 64)}  rhel-10.0-x86_64-dvd.iso"),
        lambda: ("hash", f"commit {pick(rng, HEX, 40)}"),
        lambda: ("hash", f"md5sum {pick(rng, HEX, 32)} disk.qcow2"),
        lambda: ("hash", f"quay.io/lab/app@sha256:{pick(rng, HEX, 64)} was pulled"),
        lambda: ("hash", f"fixed in {pick(rng, HEX, 8)}, see {pick(rng, HEX, 12)}"),
        lambda: ("hash", f"256 SHA256:{pick(rng, B64, 43)} (ED25519)"),
        lambda: ("uuid", str(uuid.UUID(int=rng.getrandbits(128), version=4))),
        lambda: ("uuid", f"UUID={uuid.UUID(int=rng.getrandbits(128), version=4)} /boot xfs defaults 0 0"),
        lambda: ("uuid", f"virsh domuuid web -> {uuid.UUID(int=rng.getrandbits(128), version=4)}"),
        lambda: ("uuid", f"nmcli connection up {uuid.UUID(int=rng.getrandbits(128), version=4)}"),
        lambda: ("documentation address", f"ssh root@192.0.2.{b(1, 254)}"),
        lambda: ("documentation address", f"the host 198.51.100.{b(1, 254)} answers on port {b(1, 65535)}"),
        lambda: ("documentation address", f"ansible_host: 203.0.113.{b(1, 254)}"),
        lambda: ("documentation address", f"inet6 2001:db8:{pick(rng, HEX, 4)}::{b(1, 99)}/64"),
        lambda: ("documentation address", f"http://[2001:db8::{b(1, 9999)}]:8080/"),
        lambda: ("example name", f"node{b(1, 9)}.{of(rng, 'example.com', 'lab.example.org', 'ocp.example.net')}"),
        lambda: ("example name", f"{of(rng, 'info', 'root', 'admin')}@{of(rng, 'example.com', 'example.org')}"),
        lambda: ("number", f"disk size {b(10**9, 10**13)} bytes, {b(10**5, 10**9)} sectors"),
        lambda: ("number", f"timestamp {b(1_600_000_000, 1_800_000_000)} ({b(1_600_000_000_000, 1_800_000_000_000)} ms)"),
        lambda: ("number", f"20{b(20, 29)}-{b(1, 12):02}-{b(1, 28):02}T{b(0, 23):02}:{b(0, 59):02}:{b(0, 59):02}.{b(0, 999):03}Z INFO started"),
        lambda: ("number", f"pid {b(2, 99999)}, inode {b(10**5, 10**8)}, offset 0x{pick(rng, HEX, 8, 12)}"),
        lambda: ("number", f"trace id {b(10**9, 10**10)} took {b(1, 900)}.{b(0, 99):02} s"),
        lambda: ("device", f"52:54:00:{pick(rng, HEX, 2)}:{pick(rng, HEX, 2)}:{pick(rng, HEX, 2)} on vnet{b(0, 9)}"),
        lambda: ("device", f"0000:{pick(rng, HEX, 2)}:{pick(rng, '01', 2)}.{b(0, 7)} Ethernet controller"),
        lambda: ("device", f"/dev/disk/by-id/wwn-0x{pick(rng, HEX, 16)}-part{b(1, 9)}"),
        lambda: ("device", f"/dev/mapper/rhel-root {b(10, 99)}G {b(1, 9)}G {b(1, 99)}%"),
        lambda: ("config", f"vcpus: {b(1, 16)}\nmemory_mb: {b(1, 64) * 1024}\ndisk_gb: {b(20, 500)}"),
        lambda: ("config", f"PORT={b(1024, 65535)}\nTHREADS={b(1, 16)}\nCONTEXT_CELLS={b(1, 32) * 1024}"),
        lambda: ("config", f"image: {of(rng, 'registry.redhat.io', 'quay.io', 'docker.io')}/{of(rng, 'ubi9', 'library', 'fedora')}/{of(rng, 'nginx', 'python-312', 'ubi-minimal')}:{b(1, 9)}.{b(0, 30)}"),
        lambda: ("command", f"virt-install --name vm{b(1, 99)} --memory {b(1, 32) * 1024} --vcpus {b(1, 16)} --disk size={b(10, 200)}"),
        lambda: ("command", f"dnf install -y {of(rng, 'libvirt', 'qemu-kvm', 'cockpit-machines')}-{b(1, 9)}.{b(0, 9)}.{b(0, 9)}"),
        lambda: ("command", f"kubectl get pod {of(rng, 'etcd', 'router', 'console')}-{pick(rng, HEX, 9)}-{pick(rng, 'bcdfghjklmnpqrstvwxz2456789', 5)}"),
        lambda: ("command", f"firewall-cmd --add-port={b(1024, 65535)}/tcp --permanent"),
    ]  # fmt: skip
    if rng.random() < 0.35:
        return Row(rng.choice(SENTENCES), "sentence")
    kind, text = rng.choice(makers)()
    return Row(text, kind)


def clean_rows(seed: int = 2) -> list[Row]:
    """500 messages as people who run infrastructure write them, with nothing that must go."""
    rng = random.Random(seed)
    rows = [clean_row(rng) for _ in range(500)]
    return [Row(rng.choice(BEFORE) + row.text + rng.choice(AFTER), row.kind) for row in rows]
