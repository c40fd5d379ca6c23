//! The ten countries of the sample data: names, streets, cities, and what people there write.
//!
//! Lists and patterns are those of `words`. An entry of a name list may also carry its Latin spelling
//! after `=`, and a male and a female form around `/`. Telephone numbers come from ranges set aside for
//! fiction where a country has such a range.

/// One country: how people there are called, where they live and what they write.
pub(super) struct Locale {
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// Customers out of a hundred.
    pub share: u64,
    /// Whether the family name is written first.
    pub family_first: bool,
    pub male: &'static str,
    pub female: &'static str,
    pub family: &'static str,
    pub streets: &'static str,
    /// How a street (`{s}`), a house number (`{n}`) and a unit (`{u}`) are put together.
    pub street_forms: &'static str,
    /// City, region and pattern of the postal code, with `;` between them.
    pub cities: &'static str,
    pub phones: &'static str,
    pub national_id: &'static str,
    /// Pattern of the part of an IBAN after the check digits; empty where there are no IBANs.
    pub iban: &'static str,
    /// Company names around a family name (`{f}`).
    pub companies: &'static str,
    pub instructions: &'static str,
    /// What customers write to support: subject line, `>`, message.
    pub complaints: &'static str,
}

/// The countries that the shop delivers to; the shares add up to 100.
pub(super) const LOCALES: [Locale; 10] = [NL, DE, FR, GB, PL, ES, US, TR, JP, GR];

const NL: Locale = Locale {
    country: "NL",
    share: 20,
    family_first: false,
    male: "Jan|Daan|Sem|Pieter|Willem|Thijs|Bram|Ruben|Jeroen|Maarten|Bas|Joost|Sander|Koen|Youssef",
    female: "Emma|Sanne|Fleur|Lotte|Anouk|Maaike|Roos|Femke|Ingrid|Marieke|Noor|Saskia|Zoë=Zoe|Fatima",
    family: "de Vries|van den Berg|Jansen|Bakker|Visser|Smit|Meijer|de Boer|Mulder|de Groot|Bos|Vos|\
        Hendriks|van Leeuwen|Dekker|Brouwer|de Wit|Dijkstra|van der Meer|Kok|Vermeulen|Schouten|\
        van der Heijden|van Beek|Willems|Hoekstra|Verhoeven|Koster|'t Hart|El Amrani",
    streets: "Dorpsstraat|Kerkstraat|Molenweg|Stationsstraat|Julianastraat|Wilhelminalaan|Beatrixstraat|\
        Schoolstraat|Prins Hendrikkade|Nieuwstraat|Lindelaan|Vondelstraat|Zeedijk|Oude Gracht",
    street_forms: "{s} {n}|{s} {n}|{s} {n}-{u}|{s} {n} bis",
    cities: "Amsterdam;Noord-Holland;10## @@|Rotterdam;Zuid-Holland;30## @@|Utrecht;Utrecht;35## @@|\
        Eindhoven;Noord-Brabant;56## @@|Groningen;Groningen;97## @@|Nijmegen;Gelderland;65## @@|\
        's-Hertogenbosch;Noord-Brabant;52## @@|Maastricht;Limburg;62## @@|Zwolle;Overijssel;80## @@",
    phones: "+31 6 5### ####|+31 6 2### ####|+31 20 55# ####|+31 10 44# ####",
    national_id: "#########",
    iban: "NOVB0#########",
    companies: "Bakkerij {f}|{f} & Zonen B.V.|Fietsenwinkel {f}|Notariskantoor {f}",
    instructions: "Bij buren op nummer 12 afgeven|Niet bellen, baby slaapt|Achterom, poort is open",
    complaints: "Start niet meer op>Sinds de laatste update start {product} niet meer op. Serienummer {serial}. \
        Kunt u mij bellen op {phone}?|Dubbel betaald>Mijn verlenging van {product} is twee keer \
        afgeschreven. Graag terugstorten op {iban}, t.n.v. {name}.",
};

const DE: Locale = Locale {
    country: "DE",
    share: 20,
    family_first: false,
    male: "Lukas|Felix|Jürgen=Juergen|Maximilian|Thomas|Stefan|Andreas|Jonas|Björn=Bjoern|Uwe|Klaus|Emre",
    female: "Anna|Lena|Käthe=Kaethe|Sabine|Katrin|Johanna|Petra|Heike|Mia|Franziska|Ursula|Aylin|Jördis=Joerdis",
    family: "Müller=Mueller|Schmidt|Schneider|Fischer|Weber|Meyer|Wagner|Becker|Schulz|Hoffmann|\
        Schäfer=Schaefer|Koch|Bauer|Richter|Klein|Wolf|Schröder=Schroeder|Neumann|Schwarz|Braun|\
        Krüger=Krueger|Hartmann|Lange|Krause|Lehmann|Köhler=Koehler|Weiß=Weiss|Yılmaz=Yilmaz",
    streets: "Hauptstraße|Bahnhofstraße|Gartenstraße|Schillerstraße|Goethestraße|Lindenweg|Am Mühlbach|\
        Rosenweg|Kirchgasse|Beethovenstraße|Bergstraße|Birkenallee|An der Alten Post",
    street_forms: "{s} {n}|{s} {n}|{s} {n}a|{s} {n}, Hinterhaus",
    cities: "Berlin;Berlin;10###|Hamburg;Hamburg;20###|München;Bayern;80###|Köln;Nordrhein-Westfalen;506##|\
        Frankfurt am Main;Hessen;603##|Leipzig;Sachsen;041##|Nürnberg;Bayern;904##|\
        Lübeck;Schleswig-Holstein;235##|Tübingen;Baden-Württemberg;7207#|Görlitz;Sachsen;0282#",
    phones: "+49 30 23125 ###|+49 69 90009 ###|+49 40 66969 ###|+49 221 4710 ###|+49 89 99998 ###",
    national_id: "L#@#@####",
    iban: "900102##0#########",
    companies: "{f} GmbH|Tischlerei {f}|{f} & Partner mbB|Apotheke {f}",
    instructions: "Bitte beim Hausmeister abgeben|Klingel defekt, bitte klopfen|Abstellort: Garage links",
    complaints: "Lizenz wird nicht erkannt>Guten Tag, {product} {version} meldet, die Lizenz sei ungültig. \
        Die Seriennummer lautet {serial}. Mit freundlichen Grüßen, {name}|Rückerstattung>Bitte erstatten \
        Sie den Betrag auf mein Konto {iban}. Für Rückfragen: {email} oder {phone}.",
};

const FR: Locale = Locale {
    country: "FR",
    share: 12,
    family_first: false,
    male: "Jean|Louis|Hugo|Étienne=Etienne|François=Francois|Théo=Theo|Julien|Antoine|Rémi=Remi|Karim",
    female: "Camille|Chloé=Chloe|Élodie=Elodie|Manon|Hélène=Helene|Inès=Ines|Marie-Claire|Sophie|Léa=Lea",
    family: "Martin|Bernard|Dubois|Durand|Moreau|Laurent|Lefèvre=Lefevre|Garnier|Faure|Rousseau|Mercier|\
        Lefebvre|Chevalier|Benoît=Benoit|D'Arcy|Guérin=Guerin|Boyer|Fontaine|Benali|Hervé=Herve",
    streets: "rue Victor Hugo|avenue Jean Jaurès|rue de l'Église|place de la République|rue Pasteur|\
        boulevard Gambetta|chemin des Vignes|rue du Moulin|quai de la Gare|impasse des Lilas",
    street_forms: "{n} {s}|{n} {s}|{n} bis {s}|{n} {s}, apt {u}",
    cities: "Paris;Île-de-France;750##|Lyon;Auvergne-Rhône-Alpes;6900#|Marseille;Provence-Alpes-Côte d'Azur;\
        1300#|Lille;Hauts-de-France;59#00|Nantes;Pays de la Loire;44#00|Besançon;\
        Bourgogne-Franche-Comté;25000|Saint-Étienne;Auvergne-Rhône-Alpes;42#00|Orléans;Centre-Val de Loire;45#00",
    phones: "+33 6 39 98 ## ##|+33 1 99 00 ## ##|+33 4 65 71 ## ##",
    national_id: "############",
    iban: "99999000##0##########61",
    companies: "Boulangerie {f}|{f} et Fils SARL|Cabinet {f}|Librairie {f}",
    instructions: "Code porte 48B2, 3e étage gauche|Laisser chez la gardienne|Sonner deux fois",
    complaints: "Impossible de se connecter>Bonjour, depuis hier {product} me demande un mot de passe que je \
        n'ai jamais eu. Mon adresse : {email}.|Prélèvement inconnu>Bonjour, ma carte {card} a été débitée \
        deux fois pour {product}. Merci de me rappeler au {phone}. {name}",
};

const GB: Locale = Locale {
    country: "GB",
    share: 10,
    family_first: false,
    male: "Oliver|George|Harry|Callum|Rhys|Alistair|Imran|Nigel|Toby|Kwame|Seán=Sean",
    female: "Olivia|Amelia|Isla|Charlotte|Bethan|Priya|Fiona|Siobhán=Siobhan|Gemma|Zadie|Harriet",
    family: "Smith|Jones|Taylor|Brown|Williams|Evans|Walker|Wright|Hughes|Patel|O'Neill|MacLeod|Khan|\
        Clarke|Edwards|Turner|Ashcroft-Hill|Okafor|Pemberton|Singh",
    streets: "High Street|Station Road|Church Lane|Victoria Road|Mill Lane|Queensway|The Green|\
        Albert Terrace|Manor Close|York Place",
    street_forms: "{n} {s}|{n} {s}|Flat {u}, {n} {s}|{n}A {s}",
    cities: "London;Greater London;SE15 #@@|Manchester;Greater Manchester;M14 #@@|Bristol;Avon;BS6 #@@|\
        Edinburgh;Midlothian;EH7 #@@|Cardiff;South Glamorgan;CF24 #@@|Leeds;West Yorkshire;LS6 #@@|\
        Norwich;Norfolk;NR2 #@@|Belfast;County Antrim;BT9 #@@",
    phones: "+44 7700 900###|+44 20 7946 0###|+44 161 496 0###|+44 117 496 0###",
    national_id: "QQ ## ## ## C",
    iban: "NOVB######0#######",
    companies: "{f} & Sons Ltd|The {f} Gallery|{f} Veterinary Practice",
    instructions: "Leave with number 9|Beware of the dog|Side gate is unlocked until 5 pm",
    complaints: ENGLISH_COMPLAINTS,
};

const PL: Locale = Locale {
    country: "PL",
    share: 10,
    family_first: false,
    male: "Piotr|Krzysztof|Andrzej|Tomasz|Paweł=Pawel|Michał=Michal|Łukasz=Lukasz|Grzegorz|Wojciech|Jakub",
    female: "Anna|Katarzyna|Małgorzata=Malgorzata|Agnieszka|Zofia|Ewa|Magdalena|Joanna|Bożena=Bozena|Iga",
    family: "Nowak|Kowalski/Kowalska|Wiśniewski/Wiśniewska=Wisniewski/Wisniewska|Wójcik=Wojcik|Mazur|\
        Kamiński/Kamińska=Kaminski/Kaminska|Lewandowski/Lewandowska|Zając=Zajac|Król=Krol|Kaczmarek|\
        Zieliński/Zielińska=Zielinski/Zielinska|Dąbrowski/Dąbrowska=Dabrowski/Dabrowska|Wróbel=Wrobel|\
        Stępień=Stepien|Górski/Górska=Gorski/Gorska|Dudek|Pawlak|Sikora",
    streets: "ul. Mickiewicza|ul. Długa|ul. Kościuszki|ul. Polna|al. Jana Pawła II|ul. Słoneczna|\
        ul. Świętego Marcina|os. Zielone|ul. Żeromskiego|pl. Wolności",
    street_forms: "{s} {n}|{s} {n}/{u}|{s} {n} m. {u}",
    cities: "Warszawa;mazowieckie;00-###|Kraków;małopolskie;30-###|Łódź;łódzkie;90-###|\
        Wrocław;dolnośląskie;50-###|Poznań;wielkopolskie;60-###|Gdańsk;pomorskie;80-###|\
        Białystok;podlaskie;15-###|Rzeszów;podkarpackie;35-###",
    phones: "+48 50# ### ###|+48 60# ### ###|+48 22 555 ## ##",
    national_id: "@@@######",
    iban: "99901020################",
    companies: "{f} Sp. z o.o.|Piekarnia {f}|Kancelaria {f}",
    instructions: "Domofon nie działa, proszę dzwonić|Zostawić u sąsiadki pod 4|Wejście od podwórza",
    complaints: "Błąd podczas aktualizacji>Dzień dobry, {product} zatrzymuje się na 80 % aktualizacji. Numer \
        seryjny {serial}. Proszę o kontakt: {phone}.|Zwrot pieniędzy>Proszę o zwrot na konto {iban}. \
        Pozdrawiam, {name}",
};

const ES: Locale = Locale {
    country: "ES",
    share: 8,
    family_first: false,
    male: "Alejandro|José=Jose|Íñigo=Inigo|Pablo|Javier|Andrés=Andres|Jordi|Martín=Martin|Álvaro=Alvaro",
    female: "Lucía=Lucia|María José=Maria Jose|Begoña=Begona|Carmen|Inés=Ines|Montserrat|Nuria|Paula",
    family: "García López=Garcia Lopez|Fernández=Fernandez|Muñoz=Munoz|Ruiz Peña=Ruiz Pena|Ortega|\
        Iglesias|Núñez=Nunez|Martínez=Martinez|Castro|Romero|Ibáñez=Ibanez|Echeverría=Echeverria|Vidal",
    streets: "Calle Mayor|Avenida de la Constitución|Calle del Carmen|Paseo de la Estación|Plaza de España|\
        Calle Cervantes|Camino Viejo|Ronda de Levante|Calle de la Peña",
    street_forms: "{s}, {n}|{s}, {n}, {u}º B|{s}, {n}, bajo izda.",
    cities: "Madrid;Comunidad de Madrid;280##|Barcelona;Cataluña;080##|Valencia;Comunitat Valenciana;460##|\
        Sevilla;Andalucía;410##|Bilbao;País Vasco;480##|A Coruña;Galicia;150##|Logroño;La Rioja;260##",
    phones: "+34 6## ## ## ##|+34 91 555 ## ##|+34 93 555 ## ##",
    national_id: "########@",
    iban: "99990001##0#########",
    companies: "Hermanos {f} S.L.|Farmacia {f}|Talleres {f}",
    instructions: "Dejar en conserjería|Llamar antes de subir|Horario de 9 a 14 h",
    complaints: "No puedo instalarlo>Hola, el instalador de {product} {version} se cierra solo. ¿Me pueden \
        llamar al {phone}? Gracias, {name}|Cobro duplicado>Me han cobrado dos veces en la tarjeta {card}. \
        Pueden devolverlo a {iban}. Mi correo es {email}.",
};

const US: Locale = Locale {
    country: "US",
    share: 8,
    family_first: false,
    male: "James|Michael|Tyler|Darnell|Ethan|Carlos|Wyatt|Raj|Noah|Vincent",
    female: "Mary|Ashley|Jasmine|Emily|Guadalupe|Mei|Savannah|Ruth|Naomi|Destiny",
    family: "Johnson|Davis|Miller|Rodriguez|Anderson|Nguyen|Washington|Kowalczyk|Thompson|Baker|Chen|\
        Freeman|O'Connor|Rivera|Goldberg|Whitehorse",
    streets: "Maple Avenue|Oak Street|Washington Boulevard|2nd Street|Elm Drive|Sunset Lane|Park Place|\
        Lincoln Highway|Cedar Court",
    street_forms: "{n}4 {s}|{n}28 {s}|{n}17 {s}, Apt {u}C|{n}5 {s}, Unit {u}",
    cities: "Portland;OR;972##|Austin;TX;787##|Madison;WI;537##|Buffalo;NY;142##|Savannah;GA;314##|\
        Tucson;AZ;857##|Boise;ID;837##|Chicago;IL;606##",
    phones: "+1 503 555 01##|+1 512 555 01##|+1 716 555 01##|+1 520 555 01##|+1 312 555 01##",
    national_id: "666-##-####",
    iban: "",
    companies: "{f} Hardware LLC|{f} Dental, Inc.|{f} & Daughters Catering",
    instructions: "Leave on porch|Gate code 4410|Call on arrival, buzzer is broken",
    complaints: ENGLISH_COMPLAINTS,
};

const TR: Locale = Locale {
    country: "TR",
    share: 5,
    family_first: false,
    male: "Mehmet|Mustafa|Çağlar=Caglar|Ömer=Omer|İbrahim=Ibrahim|Oğuz=Oguz|Barış=Baris|Kerem",
    female: "Ayşe=Ayse|Zeynep|Elif|Şükran=Sukran|Gülşen=Gulsen|Özlem=Ozlem|Defne|Tuğba=Tugba",
    family: "Yılmaz=Yilmaz|Kaya|Demir|Şahin=Sahin|Çelik=Celik|Yıldız=Yildiz|Öztürk=Ozturk|Aydın=Aydin|\
        Arslan|Doğan=Dogan|Kılıç=Kilic|Koç=Koc|Güneş=Gunes",
    streets: "Atatürk Caddesi|Cumhuriyet Caddesi|İnönü Bulvarı|Gül Sokak|Çınar Sokak|Fevzi Çakmak Caddesi",
    street_forms: "{s} No: {n}|{s} No: {n} D: {u}|{s} No: {n}/{u}",
    cities: "Kadıköy;İstanbul;347##|Beşiktaş;İstanbul;343##|Çankaya;Ankara;066##|Karşıyaka;İzmir;355##|\
        Nilüfer;Bursa;161##|Muratpaşa;Antalya;071##",
    phones: "+90 53# ### ## ##|+90 54# ### ## ##|+90 212 555 ## ##",
    national_id: "###########",
    iban: "999990################",
    companies: "{f} Ticaret Ltd. Şti.|{f} Eczanesi|{f} Mühendislik A.Ş.",
    instructions: "Kapıcıya bırakınız|Zil çalışmıyor, lütfen arayın",
    complaints: "Etkinleştirme hatası>Merhaba, {product} etkinleştirme sırasında hata veriyor. Seri no: {serial}. \
        Telefonum {phone}.|Para iadesi>İadenin {iban} hesabıma yapılmasını rica ederim. {name}, {email}",
};

const JP: Locale = Locale {
    country: "JP",
    share: 4,
    family_first: true,
    male: "健一=Kenichi|大輔=Daisuke|翔太=Shota|拓也=Takuya|直樹=Naoki|浩=Hiroshi|誠=Makoto|蓮=Ren",
    female: "陽子=Yoko|美咲=Misaki|さくら=Sakura|由美子=Yumiko|恵=Megumi|葵=Aoi|真由美=Mayumi|結衣=Yui",
    family: "佐藤=Sato|鈴木=Suzuki|高橋=Takahashi|田中=Tanaka|伊藤=Ito|渡辺=Watanabe|山本=Yamamoto|\
        中村=Nakamura|小林=Kobayashi|加藤=Kato|吉田=Yoshida|佐々木=Sasaki|松本=Matsumoto|井上=Inoue",
    streets: "本町|中央|栄町|緑町|旭町|幸町|若葉町|泉町",
    street_forms: "{s}{u}-{n}-3|{s}{u}丁目{n}番7号|{s}{u}-{n} コーポ富士{u}02",
    cities: "新宿区;東京都;160-00##|世田谷区;東京都;154-00##|横浜市中区;神奈川県;231-00##|大阪市北区;大阪府;\
        530-00##|名古屋市中区;愛知県;460-00##|札幌市中央区;北海道;060-00##|福岡市博多区;福岡県;812-00##",
    phones: "+81 90 #### ####|+81 80 #### ####|+81 3 5555 ####",
    national_id: "#### #### ####",
    iban: "",
    companies: "株式会社{f}商店|{f}歯科医院|有限会社{f}工務店",
    instructions: "宅配ボックスにお願いします|午前中は不在です",
    complaints: "起動できません>{product} {version} が起動しません。シリアル番号は {serial} です。電話 {phone} \
        までご連絡ください。{name}|二重請求について>カード {card} に二重に請求されています。{email} までご返信ください。",
};

const GR: Locale = Locale {
    country: "GR",
    share: 3,
    family_first: false,
    male: "Γιώργος=Giorgos|Δημήτρης=Dimitris|Κώστας=Kostas|Νίκος=Nikos|Παναγιώτης=Panagiotis|Βασίλης=Vasilis",
    female: "Μαρία=Maria|Ελένη=Eleni|Κατερίνα=Katerina|Σοφία=Sofia|Ιωάννα=Ioanna|Δέσποινα=Despina",
    family: "Παπαδόπουλος/Παπαδοπούλου=Papadopoulos/Papadopoulou|Γεωργίου=Georgiou|Νικολάου=Nikolaou|\
        Καραγιάννης/Καραγιάννη=Karagiannis/Karagianni|Οικονόμου=Oikonomou|Μακρής/Μακρή=Makris/Makri|\
        Κωνσταντίνου=Konstantinou|Αλεξίου=Alexiou|Παππάς/Παππά=Pappas/Pappa",
    streets: "Ερμού|Λεωφόρος Βενιζέλου|Αγίου Νικολάου|Κολοκοτρώνη|Μεγάλου Αλεξάνδρου|Παπάγου|Σολωμού",
    street_forms: "{s} {n}|{s} {n}|{s} {n}, {u}ος όροφος",
    cities: "Αθήνα;Αττική;10# ##|Θεσσαλονίκη;Κεντρική Μακεδονία;546 ##|Πάτρα;Δυτική Ελλάδα;262 ##|\
        Ηράκλειο;Κρήτη;712 ##|Ιωάννινα;Ήπειρος;454 ##|Βόλος;Θεσσαλία;382 ##",
    phones: "+30 694 ### ####|+30 697 ### ####|+30 21 0555 ####",
    national_id: "@@ ######",
    iban: "9990001################",
    companies: "Αφοί {f} Ο.Ε.|Φαρμακείο {f}|{f} Α.Ε.",
    instructions: "Χτυπήστε το κουδούνι δύο φορές|Αφήστε το στον θυρωρό",
    complaints: "Δεν ανοίγει η εφαρμογή>Καλησπέρα, το {product} δεν ανοίγει μετά την αναβάθμιση. Το τηλέφωνό μου \
        είναι {phone}. {name}|Επιστροφή χρημάτων>Παρακαλώ επιστρέψτε το ποσό στον λογαριασμό {iban} ή στην \
        κάρτα {card}.",
};

const ENGLISH_COMPLAINTS: &str = "Crashes on start>Since the update {product} {version} closes itself two seconds \
    after the splash screen. Serial {serial}.|Charged twice>You took the renewal of {product} from my card \
    {card} twice! It expires {expiry} and the name on it is {name}. Please give one back.|Licence \
    moved to new laptop>My old laptop died. Can you move {product} to the new one? Serial {serial}, \
    account {email}.|Sync stuck at 99 %>{product} has been syncing since Tuesday. I am on {version}.|\
    Call me please>I can't type with one arm in plaster, call me on {phone}. It is about {product}.|\
    Delete my account>Please remove everything you have about me, {name}, born {born}. I no longer use \
    {product}.";
